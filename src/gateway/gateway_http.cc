#include "gateway/gateway_http.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <utility>

#include "base/file.h"
#include "gateway/gateway_metrics.h"
#include "net/http_client.h"
#include "trust/certificate.h"

namespace selvedge {
namespace {

constexpr std::size_t kMaxJoinBytes = std::size_t{64} * 1024;
constexpr int kJoinBurst = 20;
constexpr Nanos kJoinEvery = 200 * kMillisecond;  // beyond the burst

// A bucket of tokens: guessing secrets through a gateway is no faster than this.
class JoinLimit {
 public:
  bool Allow() {
    const std::lock_guard lock(mutex_);
    const Nanos now = Clock::System().Monotonic();
    if (filled_ == 0) filled_ = now;
    const Nanos earned = (now - filled_) / kJoinEvery;
    filled_ += earned * kJoinEvery;
    tokens_ = static_cast<int>(std::min<Nanos>(tokens_ + earned, kJoinBurst));
    if (tokens_ == 0) return false;
    --tokens_;
    return true;
  }

 private:
  std::mutex mutex_;
  int tokens_ = kJoinBurst;
  Nanos filled_ = 0;
};

}  // namespace

class GatewayHttpCore {
 public:
  GatewayHttpCore(GatewayHttpOptions options, Gateway* gateway, MetricsRegistry* registry)
      : options_(std::move(options)),
        gateway_(gateway),
        registry_(registry),
        mirror_bytes_(registry->AddCounter("selvedge_gateway_mirror_fetched_bytes",
                                           "Content fetched from the fleet's registry.")) {}
  ~GatewayHttpCore() { Stop(); }
  GatewayHttpCore(const GatewayHttpCore&) = delete;
  GatewayHttpCore& operator=(const GatewayHttpCore&) = delete;

  Status Start() {
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(authority_, ReadFile(options_.identity.ca_file, kMaxPemBytes));
    upstream_.emplace(HttpClientOptions{.tls = {.ca_pem = authority_},
                                        .proxy = options_.proxy,
                                        .total_timeout = std::chrono::milliseconds(20'000)});
    HttpServerOptions server;
    server.address = options_.address;
    server.port = options_.port;
    server.allowed_hosts = options_.hosts;
    server.worker_threads = 4;
    server.reply_timeout = std::chrono::milliseconds(25'000);
    server.max_connections = 256;
    server.tls.emplace(options_.identity.certificate_file, options_.identity.key_file);
    server.tls->client = HttpTls::Client::kOptional;
    server.tls->client_ca_file = options_.identity.ca_file;
    server_ = std::make_unique<HttpServer>(std::move(server));
    AddHealth(server_.get());
    AddJoining(server_.get());
    if (options_.add_mirror) options_.add_mirror(server_.get());
    SELVEDGE_RETURN_IF_ERROR(server_->Start());
    if (options_.plain_port == 0) return OkStatus();
    HttpServerOptions plain;
    plain.port = std::max(options_.plain_port, 0);
    plain_ = std::make_unique<HttpServer>(std::move(plain));
    AddHealth(plain_.get());
    return plain_->Start();
  }

  void Stop() {
    stop_.request_stop();
    if (plain_ != nullptr) plain_->Stop();
    if (server_ != nullptr) server_->Stop();
  }

  int port() const { return server_->port(); }
  int plain_port() const { return plain_ == nullptr ? 0 : plain_->port(); }

 private:
  void AddHealth(HttpServer* server) {
    server->Handle("GET", "/healthz",
                   [](const HttpRequest&) { return HttpResponse{.body = "ok\n"}; });
    server->Handle("GET", "/readyz", [this](const HttpRequest&) {
      const std::string missing = gateway_->NotReady();
      return missing.empty() ? HttpResponse{.body = "ready\n"}
                             : HttpResponse{.status = 503, .body = "not ready: " + missing + "\n"};
    });
    server->Handle("GET", "/metrics", [this](const HttpRequest& request) {
      gateway_->UpdateMetrics();
      if (options_.mirror_bytes) GatewayMetrics::Follow(mirror_bytes_, options_.mirror_bytes());
      const MetricsFormat format = NegotiateMetricsFormat(request.Header("Accept"));
      return HttpResponse{.content_type = std::string(MetricsContentType(format)),
                          .body = registry_->Render(format)};
    });
  }

  void AddJoining(HttpServer* server) {
    server->Handle("GET", "/api/v1/ca", [this](const HttpRequest&) {
      return HttpResponse{.content_type = "application/x-pem-file", .body = authority_};
    });
    server->HandleLater(
        "POST", "/api/v1/join",
        [this](const HttpRequest& request, HttpReply reply) { reply(PassOn(request)); },
        {.max_body_bytes = kMaxJoinBytes});
  }

  HttpResponse PassOn(const HttpRequest& request) {
    if (!limit_.Allow()) {
      return HttpJsonError(
          ResourceExhaustedError("too many nodes join at once; try again in a moment"));
    }
    HttpCall call;
    call.method = "POST";
    call.url = options_.identity.url + "/api/v1/join";
    call.headers = {{"Content-Type", "application/json"}};
    call.body = request.body;
    call.max_answer_bytes = 4 * kMaxJoinBytes;
    call.stop = stop_.get_token();
    Result<HttpAnswer> answer = upstream_->Call(call);
    if (!answer) {
      return HttpJsonError(UnavailableError("the gateway cannot reach the control plane: " +
                                            answer.error().message()));
    }
    return HttpResponse{.status = answer->status,
                        .content_type = std::string(answer->Header("Content-Type")),
                        .body = std::move(answer->body)};
  }

  const GatewayHttpOptions options_;
  Gateway* gateway_;
  MetricsRegistry* registry_;
  Counter& mirror_bytes_;
  std::string authority_;
  std::optional<HttpClient> upstream_;
  JoinLimit limit_;
  std::stop_source stop_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<HttpServer> plain_;
};

Result<std::unique_ptr<GatewayHttp>> GatewayHttp::Start(GatewayHttpOptions options,
                                                        Gateway* gateway,
                                                        MetricsRegistry* registry) {
  auto core = std::make_unique<GatewayHttpCore>(std::move(options), gateway, registry);
  SELVEDGE_RETURN_ERR_IF_ERROR(core->Start());
  return std::unique_ptr<GatewayHttp>(new GatewayHttp(std::move(core)));
}

GatewayHttp::GatewayHttp(std::unique_ptr<GatewayHttpCore> core) : core_(std::move(core)) {}
GatewayHttp::~GatewayHttp() = default;

int GatewayHttp::port() const {
  return core_->port();
}
int GatewayHttp::plain_port() const {
  return core_->plain_port();
}
void GatewayHttp::Stop() {
  core_->Stop();
}

}  // namespace selvedge
