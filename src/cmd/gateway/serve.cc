#include "cmd/gateway/serve.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <future>
#include <memory>
#include <random>
#include <utility>

#include "base/backoff.h"
#include "base/log.h"
#include "base/metrics.h"
#include "gateway/gateway.h"
#include "gateway/gateway_http.h"
#include "net/join_client.h"
#include "registry/content_store.h"
#include "registry/mirror.h"
#include "registry/oci_server.h"
#include "trust/token.h"

namespace selvedge {
namespace {

constexpr std::string_view kLog = "gateway";

Status MakeStateFolder(const std::string& folder) {
  std::error_code error;
  const std::filesystem::path path(folder);
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoError(errno, "cannot make the state folder " + folder);
  }
  return OkStatus();
}

// Hosts for the server certificate: what is advertised, and this machine's loopback, over which the
// gateway reaches its own broker.
std::vector<std::string> CertificateHosts(const GatewayPlaces& places) {
  std::vector<std::string> hosts = places.advertise;
  for (const char* host : {"localhost", "127.0.0.1"}) {
    if (std::ranges::find(hosts, host) == hosts.end()) hosts.emplace_back(host);
  }
  return hosts;
}

bool WorthAnotherTry(const Status& status) {
  return status.code() == StatusCode::kUnavailable ||
         status.code() == StatusCode::kDeadlineExceeded ||
         status.code() == StatusCode::kResourceExhausted;
}

// Joins, however long the control plane is away. Cancelled where the process is told to end.
Result<NodeIdentity> Join(const GatewayCommand& command, const GatewayPlaces& places,
                          const std::string& folder, const cli::Termination& termination) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::string text, ReadToken(command.join));
  SELVEDGE_ASSIGN_OR_RETURN(const JoinToken token, ParseJoinToken(text));
  if (token.role != "gateway") {
    return Err(
        InvalidArgumentError("this join token is for a device; make one with `selvedge "
                             "token create --site " +
                             token.site + " --role gateway`"));
  }
  std::stop_source stop;
  JoinOptions options;
  options.name = command.name.empty() ? "gateway-" + token.site : command.name;
  options.proxy = command.proxy;
  options.hosts = CertificateHosts(places);
  options.mqtt = {places.MqttUrl()};
  options.registry = places.HttpsUrl();
  options.stop = stop.get_token();
  Backoff backoff(kSecond, 30 * kSecond,
                  [engine = std::mt19937_64(std::random_device{}())]() mutable {
                    return std::uniform_real_distribution<double>(0.0, 1.0)(engine);
                  });
  for (;;) {
    auto joined = std::async(std::launch::async, [&] { return JoinFleet(folder, token, options); });
    while (joined.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      if (termination.Wait(100 * kMillisecond) != 0) {
        stop.request_stop();
        (void)joined.get();
        return Err(CancelledError("told to end while joining"));
      }
    }
    Result<NodeIdentity> identity = joined.get();
    if (identity || !WorthAnotherTry(identity.error())) return identity;
    const Nanos wait = backoff.Next();
    log::Warning(kLog, "cannot join yet",
                 {{"reason", identity.error().message()}, {"next_attempt_s", ToSeconds(wait)}});
    if (termination.Wait(wait) != 0) return Err(CancelledError("told to end while joining"));
  }
}

Result<NodeIdentity> FindIdentity(const GatewayCommand& command, const GatewayPlaces& places,
                                  const cli::Termination& termination) {
  const std::string folder = command.state + "/identity";
  Result<NodeIdentity> identity = LoadIdentity(folder);
  if (!identity && identity.error().code() == StatusCode::kNotFound) {
    if (command.join.empty()) {
      return Err(FailedPreconditionError(
          command.state +
          " has not joined a fleet; start it once with --join TOKEN (`selvedge "
          "token create --site SITE --role gateway`)"));
    }
    identity = Join(command, places, folder, termination);
  }
  if (identity && identity->role != "gateway") {
    return Err(
        FailedPreconditionError(command.state + " belongs to a device; name another folder"));
  }
  return identity;
}

// The fleet's registry as this site has it.
class SiteMirror {
 public:
  static Result<std::unique_ptr<SiteMirror>> Open(const GatewayCommand& command,
                                                  const NodeIdentity& identity,
                                                  const Gateway* gateway) {
    auto mirror = std::make_unique<SiteMirror>();
    SELVEDGE_ASSIGN_OR_RETURN(mirror->store_, ContentStore::Open(command.state + "/mirror"));
    MirrorOptions options;
    options.upstream.url = identity.registry;
    options.upstream.http.tls = {.ca_file = identity.ca_file,
                                 .certificate_file = identity.certificate_file,
                                 .key_file = identity.key_file};
    options.upstream.http.proxy = command.proxy;
    options.max_bytes = static_cast<std::uint64_t>(command.mirror_gib * 1024 * 1024 * 1024);
    mirror->mirror_ = std::make_unique<Mirror>(mirror->store_.get(), std::move(options));
    OciServerOptions server;
    server.mirror = mirror->mirror_.get();
    server.authorize = [gateway](const OciCaller& caller, OciAction action, std::string_view) {
      if (!gateway->IsMember(caller.peer_name, caller.peer_fingerprint)) {
        return UnauthenticatedError(
            "the mirror serves devices of its site; show the certificate "
            "of one");
      }
      return action == OciAction::kPull || action == OciAction::kList
                 ? OkStatus()
                 : PermissionDeniedError("a mirror takes nothing; push to the fleet's registry");
    };
    mirror->server_ = std::make_unique<OciServer>(mirror->store_.get(), std::move(server));
    return mirror;
  }

  void Register(HttpServer* server) { server_->Register(server); }
  std::uint64_t bytes_fetched() const { return mirror_->bytes_fetched(); }

 private:
  std::unique_ptr<ContentStore> store_;
  std::unique_ptr<Mirror> mirror_;
  std::unique_ptr<OciServer> server_;
};

GatewayOptions MakeOptions(const GatewayCommand& command, const GatewayPlaces& places,
                           const NodeIdentity& identity) {
  GatewayOptions options;
  options.identity = identity;
  options.state_folder = std::filesystem::absolute(command.state).string();
  options.listeners = {{.address = command.listen, .port = places.mqtt_port}};
  if (places.websocket_port != 0) {
    options.listeners.push_back(
        {.address = command.listen, .port = places.websocket_port, .websockets = true});
  }
  options.mosquitto = command.mosquitto;
  options.proxy = command.proxy;
  options.version = SELVEDGE_VERSION;
  options.labels = command.labels;
  return options;
}

Status Serve(const GatewayCommand& command, const cli::Termination& termination) {
  SELVEDGE_RETURN_IF_ERROR(MakeStateFolder(command.state));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const GatewayPlaces places, DecidePlaces(command));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const NodeIdentity identity,
                                   FindIdentity(command, places, termination));
  MetricsRegistry registry;
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(
      const std::unique_ptr<Gateway> gateway,
      Gateway::Start(MakeOptions(command, places, identity), &registry));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::unique_ptr<SiteMirror> mirror,
                                   SiteMirror::Open(command, identity, gateway.get()));
  GatewayHttpOptions http;
  http.address = command.listen;
  http.port = places.https_port;
  http.hosts = CertificateHosts(places);
  http.plain_port = command.metrics_port < 0 ? 0 : std::max(command.metrics_port, 0);
  if (command.metrics_port == 0) http.plain_port = -1;
  http.identity = identity;
  http.proxy = command.proxy;
  http.add_mirror = [&mirror](HttpServer* server) { mirror->Register(server); };
  http.mirror_bytes = [&mirror] { return mirror->bytes_fetched(); };
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::unique_ptr<GatewayHttp> server,
                                   GatewayHttp::Start(std::move(http), gateway.get(), &registry));
  log::Info(kLog, "serving the site",
            {{"name", identity.name},
             {"site", identity.site},
             {"broker", places.MqttUrl()},
             {"https", places.HttpsUrl()},
             {"metrics_port", server->plain_port()}});
  while (termination.Wait(3600 * kSecond) == 0) {
  }
  log::Info(kLog, "told to end");
  server->Stop();
  gateway->Stop();
  return OkStatus();
}

}  // namespace

int ServeGateway(const GatewayCommand& command, const cli::Termination& termination) {
  const Status status = Serve(command, termination);
  if (status.ok() || status.code() == StatusCode::kCancelled) return cli::kExitOk;
  return cli::Fail("gateway", status);
}

}  // namespace selvedge
