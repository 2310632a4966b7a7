#include "cmd/cloud/process.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "cloud/api/api.h"
#include "cloud/api/control_plane.h"
#include "cmd/cli/context.h"
#include "cmd/cloud/registry_packages.h"
#include "cmd/cloud/state_folder.h"
#include "core/topic.h"
#include "net/mqtt/broker.h"
#include "net/mqtt/mqtt_client.h"
#include "registry/content_store.h"
#include "registry/oci_server.h"

namespace selvedge {
namespace {

constexpr Nanos kTick = 200 * kMillisecond;
constexpr int kApiWorkers = 4;
constexpr int kRegistryWorkers = 4;
constexpr auto kUpkeepInterval = std::chrono::minutes(10);
constexpr std::uint64_t kScrubBytes = std::uint64_t{256} << 20;

std::string HostName() {
  std::array<char, 256> name = {};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

std::string InUrl(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

// How a client on this machine reaches a listener on `address`.
std::string Reachable(const std::string& address) {
  if (address == "0.0.0.0" || address == "localhost") return "127.0.0.1";
  return address == "::" ? "::1" : address;
}

// Names and addresses for the certificate, each once.
std::vector<std::string> CertificateHosts(const std::string& advertise,
                                          const std::string& address) {
  std::vector<std::string> hosts = {"localhost", "127.0.0.1", "::1"};
  for (const std::string& host : {HostName(), advertise, Reachable(address)}) {
    if (std::ranges::find(hosts, host) == hosts.end()) hosts.push_back(host);
  }
  return hosts;
}

v1::GatewayPolicy GatewayPolicyOf(const CloudOptions& options) {
  v1::GatewayPolicy policy;
  policy.set_raw(options.raw_events == "none"  ? v1::GatewayPolicy::NONE
                 : options.raw_events == "all" ? v1::GatewayPolicy::ALL
                                               : v1::GatewayPolicy::RULES);
  policy.set_window_seconds(static_cast<std::uint32_t>(options.aggregate_window_s));
  return policy;
}

class CloudProcess {
 public:
  CloudProcess(const CloudOptions& options, StateFolder folder)
      : options_(options), folder_(std::move(folder)) {}
  ~CloudProcess() { Stop(); }

  Status Start();
  void Run(const cli::Termination& termination);
  void Stop();

 private:
  Status OpenState();
  Status StartRegistry();
  Status StartBroker();
  Status StartHttp();
  void ConnectOutputs();
  Status StartMqtt();
  Status WriteWhereWeAre();
  // Starts a server on the wanted port; 0: the one of the last start where it is free, else any.
  Status StartServer(const std::string& name, HttpServerOptions options,
                     const std::function<void(HttpServer*)>& add_routes,
                     std::unique_ptr<HttpServer>* out);
  HttpTls Tls() const;
  Status MakeAdminToken();
  void Upkeep(const std::stop_token& stop);

  const CloudOptions& options_;
  StateFolder folder_;
  const Clock& clock_ = Clock::System();
  HostPort http_;
  HostPort https_;
  std::string advertise_;

  // In the order of their needs: each uses those before it.
  std::unique_ptr<ContentStore> store_;
  std::unique_ptr<RegistryPackages> packages_;
  std::unique_ptr<ControlPlane> plane_;
  std::unique_ptr<OciServer> registry_;
  std::unique_ptr<HttpServer> registry_server_;
  std::unique_ptr<Broker> broker_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<HttpServer> http_server_;
  std::unique_ptr<HttpServer> https_server_;
  std::unique_ptr<MqttClient> mqtt_;
  std::atomic<MqttClient*> client_{nullptr};  // the same, once it is there
  std::jthread upkeep_;
};

HttpTls CloudProcess::Tls() const {
  return {folder_.Path("server.pem"), folder_.Path("server.key")};
}

Status CloudProcess::OpenState() {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(http_, ParseHostPort(options_.http));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(https_, ParseHostPort(options_.https));
  advertise_ = options_.advertise;
  if (advertise_.empty()) {
    advertise_ = IsLoopbackHost(https_.host) ? Reachable(https_.host) : HostName();
  }
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const CertificateAuthority authority,
                                   folder_.LoadOrMakeAuthority(clock_));
  SELVEDGE_RETURN_IF_ERROR(
      folder_.IssueServerCertificate(authority, CertificateHosts(advertise_, https_.host), clock_));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(store_, ContentStore::Open(folder_.Path("registry")));
  packages_ = std::make_unique<RegistryPackages>(store_.get());
  ControlPlaneOptions options{.folder = folder_.path(),
                              .authority = authority,
                              .own_hosts = {advertise_},
                              .version = SELVEDGE_VERSION};
  options.events.keep_ms = std::int64_t{options_.keep_days} * 86'400 * 1000;
  options.events.max_bytes = options_.max_mib << 20;
  options.fleet.gateway_policy = GatewayPolicyOf(options_);
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(plane_,
                                   ControlPlane::Open(std::move(options), packages_.get(), clock_));
  return MakeAdminToken();
}

Status CloudProcess::MakeAdminToken() {
  if (folder_.Has(cli::kAdminTokenFile)) return OkStatus();
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const Joining::MadeToken made,
                                   plane_->joining().MakeToken({.role = "admin", .name = "admin"}));
  return folder_.WriteLine(cli::kAdminTokenFile, Joining::UserToken(made));
}

Status CloudProcess::StartServer(const std::string& name, HttpServerOptions options,
                                 const std::function<void(HttpServer*)>& add_routes,
                                 std::unique_ptr<HttpServer>* out) {
  const bool any = options.port == 0;
  if (any) options.port = folder_.KeptPort(name);
  options.allowed_hosts.push_back(advertise_);
  auto server = std::make_unique<HttpServer>(options);
  add_routes(server.get());
  Status started = server->Start();
  if (!started.ok() && any && options.port != 0) {
    options.port = 0;
    server = std::make_unique<HttpServer>(options);
    add_routes(server.get());
    started = server->Start();
  }
  SELVEDGE_RETURN_IF_ERROR(started.WithContext("the " + name + " server"));
  *out = std::move(server);
  return any ? folder_.KeepPort(name, (*out)->port()) : OkStatus();
}

Status CloudProcess::StartRegistry() {
  registry_ = std::make_unique<OciServer>(
      store_.get(),
      OciServerOptions{.authorize = [plane = plane_.get()](const OciCaller& caller,
                                                           OciAction action, std::string_view) {
        return AuthorizeRegistry(*plane, caller, action);
      }});
  packages_->SetServer(registry_.get());
  HttpTls tls = Tls();
  tls.client = HttpTls::Client::kOptional;
  tls.client_ca_file = folder_.Path(cli::kCaFile);
  return StartServer(
      "registry",
      {.address = https_.host,
       .port = options_.registry_port,
       .tls = tls,
       .worker_threads = kRegistryWorkers,
       .max_connections = 1024},
      [&](HttpServer* server) { registry_->Register(server); }, &registry_server_);
}

Status CloudProcess::StartBroker() {
  const std::string address = https_.host == "localhost" ? "127.0.0.1" : https_.host;
  BrokerOptions options{.folder = folder_.Path("broker"),
                        .listeners = {{.address = address, .port = options_.mqtt_port}},
                        .certificate_file = folder_.Path("server.pem"),
                        .key_file = folder_.Path("server.key"),
                        .ca_file = folder_.Path(cli::kCaFile),
                        .acl = CloudBrokerAcl(kControlPlaneName, plane_->Members()),
                        .executable = options_.mosquitto};
  if (options_.mqtt_ws_port >= 0) {
    options.listeners.push_back(
        {.address = address, .port = options_.mqtt_ws_port, .websockets = true});
  }
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(broker_, Broker::Start(std::move(options)));
  return OkStatus();
}

Status CloudProcess::StartHttp() {
  PublicAddresses addresses;
  const std::string host = InUrl(advertise_);
  const std::vector<int> ports = broker_->ports();
  addresses.mqtt.push_back(fmt::format("mqtts://{}:{}", host, ports[0]));
  if (ports.size() > 1) addresses.mqtt.push_back(fmt::format("wss://{}:{}", host, ports[1]));
  addresses.registry = fmt::format("https://{}:{}", host, registry_server_->port());
  api_ = std::make_unique<Api>(plane_.get());
  const auto add_routes = [&](HttpServer* server) { api_->Register(server); };
  SELVEDGE_RETURN_IF_ERROR(StartServer("https",
                                       {.address = https_.host,
                                        .port = https_.port,
                                        .tls = Tls(),
                                        .worker_threads = kApiWorkers,
                                        .max_connections = 1024,
                                        .max_streams = 128},
                                       add_routes, &https_server_));
  addresses.api = fmt::format("https://{}:{}", host, https_server_->port());
  plane_->SetAddresses(addresses);
  return StartServer("http",
                     {.address = http_.host,
                      .port = http_.port,
                      .worker_threads = kApiWorkers,
                      .max_connections = 256,
                      .max_streams = 64},
                     add_routes, &http_server_);
}

// Before anybody can call: a node that joins must be let in by the broker, MQTT or not.
void CloudProcess::ConnectOutputs() {
  plane_->SetOutputs(
      {.publish =
           [this](const std::string& topic, std::string payload, int qos, bool retain) {
             MqttClient* const client = client_.load();
             if (client == nullptr) return UnavailableError("not connected to the broker yet");
             return client->Publish(topic, std::move(payload), qos, retain);
           },
       .members_changed =
           [this](const std::vector<CloudBrokerNode>& members) {
             const Status status = broker_->SetAcl(CloudBrokerAcl(kControlPlaneName, members));
             if (!status.ok()) {
               log::Error("cloud", "cannot change who may use the broker",
                          {{"reason", status.message()}});
             }
           },
       .traffic =
           [this] {
             const MqttClient* const client = client_.load();
             const MqttTraffic traffic = client == nullptr ? MqttTraffic{} : client->traffic();
             return std::pair(traffic.ip_bytes_received(), traffic.ip_bytes_sent());
           }});
}

Status CloudProcess::StartMqtt() {
  MqttOptions options{
      .uris = {fmt::format("mqtts://{}:{}",
                           InUrl(Reachable(https_.host == "localhost" ? "127.0.0.1" : https_.host)),
                           broker_->port())},
      .client_id = std::string(kControlPlaneName),
      .ca_file = folder_.Path(cli::kCaFile),
      .certificate_file = folder_.Path("server.pem"),
      .key_file = folder_.Path("server.key"),
      .retry_first = 100 * kMillisecond,
      .retry_max = 2 * kSecond,  // the broker is on this machine
      .max_queued_messages = 16'384,
      .max_queued_bytes = std::size_t{32} << 20};
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(
      mqtt_, MqttClient::Start(
                 std::move(options),
                 {.connected = [this] { plane_->OnConnected(); },
                  .lost = [this](const Status& reason, bool) { plane_->OnDisconnected(reason); },
                  .message =
                      [this](const MqttMessage& message) {
                        plane_->OnMessage(message.topic, message.payload, message.retained);
                      }}));
  client_.store(mqtt_.get());
  for (const TopicKind kind :
       {TopicKind::kBirth, TopicKind::kState, TopicKind::kEvent, TopicKind::kResult}) {
    SELVEDGE_RETURN_IF_ERROR(mqtt_->Subscribe(TopicName("+", "+", kind), 1));
  }
  return OkStatus();
}

// What clients on this machine read, and a person.
Status CloudProcess::WriteWhereWeAre() {
  const std::string url = fmt::format("http://localhost:{}", http_server_->port());
  const std::string registry =
      fmt::format("https://{}:{}", InUrl(Reachable(https_.host)), registry_server_->port());
  SELVEDGE_RETURN_IF_ERROR(folder_.WriteLine(cli::kRegistryUrlFile, registry));
  // Last: who waits for it finds the others.
  SELVEDGE_RETURN_IF_ERROR(folder_.WriteLine(cli::kApiUrlFile, url));
  log::Info("cloud", "ready",
            {{"dashboard", url + "/"},
             {"api", plane_->addresses().api},
             {"mqtt", plane_->addresses().mqtt.front()},
             {"registry", plane_->addresses().registry},
             {"token", folder_.Path(cli::kAdminTokenFile)}});
  return OkStatus();
}

Status CloudProcess::Start() {
  SELVEDGE_RETURN_IF_ERROR(OpenState());
  SELVEDGE_RETURN_IF_ERROR(StartRegistry());
  SELVEDGE_RETURN_IF_ERROR(StartBroker());
  ConnectOutputs();
  SELVEDGE_RETURN_IF_ERROR(StartHttp());
  // After the addresses are known: documents hold them.
  SELVEDGE_RETURN_IF_ERROR(StartMqtt());
  upkeep_ = std::jthread([this](const std::stop_token& stop) { Upkeep(stop); });
  return WriteWhereWeAre();
}

// Blobs that nothing uses go, and damaged ones are found.
void CloudProcess::Upkeep(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  while (!wake.wait_for(lock, stop, kUpkeepInterval, [&] { return stop.stop_requested(); })) {
    if (const auto collected = store_->Collect(); !collected) {
      log::Warning("registry", "cannot clear away what nothing uses",
                   {{"reason", collected.error().message()}});
    }
    if (const auto damaged = store_->Scrub(kScrubBytes); damaged && !damaged->empty()) {
      log::Error("registry", "blobs were damaged on the disk and moved aside; push them again",
                 {{"first", damaged->front()}, {"count", damaged->size()}});
    }
  }
}

void CloudProcess::Run(const cli::Termination& termination) {
  while (termination.Wait(kTick) == 0) plane_->Tick();
}

void CloudProcess::Stop() {
  upkeep_.request_stop();
  // First who calls us, then whom we call.
  if (plane_ != nullptr) plane_->hub().CloseAll();
  for (const auto& server : {&http_server_, &https_server_, &registry_server_}) {
    if (*server != nullptr) (*server)->Stop();
  }
  if (mqtt_ != nullptr) mqtt_->Stop();
  if (broker_ != nullptr) broker_->Stop();
  if (upkeep_.joinable()) upkeep_.join();
  if (packages_ != nullptr) packages_->SetServer(nullptr);
}

}  // namespace

int RunCloud(const CloudOptions& options, const cli::Termination& termination) {
  Result<StateFolder> folder = StateFolder::Open(options.state);
  if (!folder) return cli::Fail("cloud", folder.error());
  CloudProcess process(options, *std::move(folder));
  if (const Status started = process.Start(); !started.ok()) return cli::Fail("cloud", started);
  process.Run(termination);
  log::Info("cloud", "stopping");
  process.Stop();
  return cli::kExitOk;
}

}  // namespace selvedge
