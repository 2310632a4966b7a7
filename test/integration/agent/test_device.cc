#include "test_device.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "base/file.h"
#include "net/free_port.h"
#include "net/mqtt/broker_acl.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;

constexpr char kModel[] =
    "selvedge-fake-model 1\n"
    "input image float32 [1,32,32,3]\n"
    "output boxes float32 [1,10,6] rows\n"
    "rows 0 boxes 4 4 16 28 0.9 0\n"
    "repeat\n";

constexpr char kCard[] =
    "name: boxes\n"
    "version: \"1\"\n"
    "task: detection\n"
    "variants: [{name: fp32, path: boxes.fake, precision: fp32}]\n"
    "input: {layout: nhwc, color: rgb, width: 32, height: 32, resize: squash}\n"
    "decoder: {kind: centernet, boxes: boxes, score_threshold: 0.3, nms_iou: 0.5}\n"
    "labels: [person]\n";

std::string ReadWhole(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace

FakeSite::FakeSite(TestFleet* fleet) : fleet_(fleet) {
  const std::string_view migrations[] = {kInboxSchema};
  database_ = *Database::Open(*fleet / "site.db", migrations);
  inbox_ = std::make_unique<Inbox>(database_.get());
  broker_options_ = fleet->Broker("site-broker", SiteBrokerAcl(kSite, "gateway"));
  StartBroker();
  broker_port_ = broker_->port();
  StartRegistry();
  MqttOptions options = fleet->Client("gateway", broker_port_);
  MqttCallbacks callbacks;
  callbacks.connected = [this] {
    const std::lock_guard lock(mutex_);
    if (desired_.empty()) return;
    (void)client_->Publish(TopicName(kSite, kDevice, TopicKind::kDesired), desired_, 1, true);
  };
  callbacks.message = [this](const MqttMessage& message) { OnMessage(message); };
  const std::lock_guard lock(mutex_);
  client_ = *MqttClient::Start(options, callbacks);
  for (const char* kind : {"birth", "state", "event", "result"}) {
    EXPECT_TRUE(client_->Subscribe("selvedge/v1/+/+/" + std::string(kind), 1).ok());
  }
}

FakeSite::~FakeSite() {
  client_->Stop();
  http_->Stop();
}

void FakeSite::StartBroker() {
  auto broker = Broker::Start(broker_options_);
  ASSERT_TRUE(broker.has_value()) << broker.error().ToString();
  broker_ = *std::move(broker);
}

void FakeSite::StartRegistry() {
  store_ = *ContentStore::Open(*fleet_ / "registry");
  OciServerOptions options;
  options.authorize = [](const OciCaller& caller, OciAction, std::string_view) {
    return caller.peer_name.empty() ? UnauthenticatedError("who are you?") : OkStatus();
  };
  oci_ = std::make_unique<OciServer>(store_.get(), options);
  const TestFleet::Files files = fleet_->Issue("registry");
  HttpServerOptions http;
  http.address = "127.0.0.1";
  http.port = 0;
  http.tls = HttpTls(files.certificate, files.key);
  http.tls->client = HttpTls::Client::kRequired;
  http.tls->client_ca_file = fleet_->ca_file();
  http.worker_threads = 2;
  http_ = std::make_unique<HttpServer>(http);
  oci_->Register(http_.get());
  const Status started = http_->Start();
  ASSERT_TRUE(started.ok()) << started.message();
  registry_port_ = http_->port();
}

BuiltPackage MakePackage(const std::string& folder, const std::string& version,
                         const std::string& pipeline) {
  fs::create_directories(folder);
  std::ofstream(folder + "/boxes.fake") << kModel;
  std::string card = kCard;
  card.replace(card.find("\"1\""), 3, "\"" + version + "\"");
  std::ofstream(folder + "/card.yaml") << card;
  std::ofstream(folder + "/pipeline.yaml")
      << "pipeline: test\n"
         "model: {card: card.yaml, engine: fake, threads: 1, workers: 1}\n"
      << pipeline;
  auto built = BuildPackage(folder + "/card.yaml", folder + "/pipeline.yaml");
  EXPECT_TRUE(built.has_value()) << built.error().ToString();
  return built ? *std::move(built) : BuiltPackage();
}

OciClientOptions FakeSite::Operator() {
  const TestFleet::Files files = fleet_->Issue("operator");
  OciClientOptions options;
  options.url = registry();
  options.http.tls = {
      .ca_file = fleet_->ca_file(), .certificate_file = files.certificate, .key_file = files.key};
  return options;
}

std::string FakeSite::Push(const std::string& version, const std::string& pipeline) {
  const BuiltPackage built = MakePackage(*fleet_ / ("package-" + version), version, pipeline);
  OciClient client(Operator());
  const auto pushed = PushPackage(&client, built, "safety/boxes", version);
  EXPECT_TRUE(pushed.has_value()) << pushed.error().ToString();
  return built.index.digest;
}

v1::ServiceSpec FakeSite::Service(const std::string& digest, const std::string& name) const {
  v1::ServiceSpec spec;
  spec.set_application("safety");
  spec.set_name(name);
  spec.set_kind(v1::PIPELINE);
  spec.set_image("pipeline:safety/boxes:1");
  spec.set_repository("safety/boxes");
  spec.set_digest(digest);
  spec.set_version(digest.substr(7, 8));
  return spec;
}

void FakeSite::SendDesired(const std::string& payload) {
  const std::lock_guard lock(mutex_);
  (void)client_->Publish(TopicName(kSite, kDevice, TopicKind::kDesired), payload, 1, false);
}

void FakeSite::Want(const std::vector<v1::ServiceSpec>& services, const std::string& registry) {
  v1::Desired desired;
  desired.set_device(kDevice);
  desired.set_registry(registry.empty() ? this->registry() : registry);
  for (const v1::ServiceSpec& service : services) *desired.add_services() = service;
  const std::lock_guard lock(mutex_);
  desired.set_generation(++generation_);
  desired_ = desired.SerializeAsString();
  (void)client_->Publish(TopicName(kSite, kDevice, TopicKind::kDesired), desired_, 1, true);
}

std::string FakeSite::Command(v1::Command command) {
  const std::lock_guard lock(mutex_);
  command.set_id("command-" + std::to_string(++commands_));
  (void)client_->Publish(TopicName(kSite, kDevice, TopicKind::kCommand),
                         command.SerializeAsString(), 1, false);
  return command.id();
}

void FakeSite::OnMessage(const MqttMessage& message) {
  const std::optional<Topic> topic = ParseTopic(message.topic);
  ASSERT_TRUE(topic.has_value()) << message.topic;
  ASSERT_EQ(topic->node, kDevice);
  const std::lock_guard lock(mutex_);
  switch (topic->kind) {
    case TopicKind::kBirth: EXPECT_TRUE(birth_.ParseFromString(message.payload)); break;
    case TopicKind::kState: EXPECT_TRUE(state_.ParseFromString(message.payload)); break;
    case TopicKind::kResult: {
      v1::CommandResult result;
      EXPECT_TRUE(result.ParseFromString(message.payload));
      results_[result.id()] = result;
      break;
    }
    default: {
      v1::EventBatch batch;
      ASSERT_TRUE(batch.ParseFromString(message.payload));
      const auto accepted = inbox_->Accept(kDevice, batch, [this](v1::EventList* fresh) {
        for (const v1::Event& event : fresh->events()) {
          if (!events_.emplace(event.id(), event).second) ++doubled_;
        }
        return OkStatus();
      });
      ASSERT_TRUE(accepted.has_value()) << accepted.error().ToString();
      (void)client_->Publish(TopicName(kSite, kDevice, TopicKind::kAck),
                             accepted->ack.SerializeAsString(), 0, false);
    }
  }
  changed_.notify_all();
}

template <typename Holds>
bool FakeSite::Await(Holds holds) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, holds);
}

bool FakeSite::AwaitState(const std::function<bool(const v1::State&)>& holds) {
  return Await([&] { return holds(state_); });
}
bool FakeSite::AwaitService(const std::function<bool(const v1::ServiceStatus&)>& holds) {
  return Await([&] { return state_.services_size() == 1 && holds(state_.services(0)); });
}
bool FakeSite::AwaitBirth(const std::function<bool(const v1::Birth&)>& holds) {
  return Await([&] { return holds(birth_); });
}
bool FakeSite::AwaitEvents(std::size_t count) {
  return Await([&] { return events_.size() >= count; });
}
std::optional<v1::CommandResult> FakeSite::AwaitResult(const std::string& id) {
  if (!Await([&] { return results_.contains(id); })) return std::nullopt;
  const std::lock_guard lock(mutex_);
  return results_.at(id);
}
v1::State FakeSite::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}
std::vector<v1::Event> FakeSite::events() const {
  const std::lock_guard lock(mutex_);
  std::vector<v1::Event> all;
  for (const auto& [id, event] : events_) all.push_back(event);
  return all;
}
std::uint64_t FakeSite::doubled() const {
  const std::lock_guard lock(mutex_);
  return doubled_;
}

void FakeSite::ExpectNoFrameMissing() const {
  std::set<std::uint64_t> frames;
  for (const v1::Event& event : events()) {
    EXPECT_EQ(event.device(), kDevice);
    EXPECT_EQ(event.pipeline(), "safety/detector");
    EXPECT_TRUE(frames.insert(event.frame()).second) << "frame " << event.frame() << " twice";
  }
  ASSERT_FALSE(frames.empty());
  EXPECT_EQ(*frames.begin(), 0U);
  EXPECT_EQ(*frames.rbegin(), frames.size() - 1);
  EXPECT_EQ(doubled(), 0U);
}

// --- The process.

void WriteIdentity(const std::string& state, TestFleet* fleet, const FakeSite& site) {
  const std::string identity = state + "/identity";
  fs::create_directories(identity);
  const TestFleet::Files files = fleet->Issue(kDevice);
  fs::copy(files.certificate, identity + "/certificate.pem");
  fs::copy(files.key, identity + "/key.pem");
  fs::copy(fleet->ca_file(), identity + "/ca.pem");
  const nlohmann::json node = {
      {"site", kSite},
      {"name", kDevice},
      {"role", "device"},
      {"mqtt", {"mqtts://127.0.0.1:" + std::to_string(site.broker_port())}},
      {"url", "https://127.0.0.1:1"},
      {"registry", site.registry()}};
  std::ofstream(identity + "/node.json") << node.dump();
}

AgentProcess::~AgentProcess() {
  child_.reset();
  for (const pid_t pid : Services()) kill(pid, SIGKILL);
  if (::testing::Test::HasFailure()) std::fprintf(stderr, "%s\n", Log().c_str());
}

void AgentProcess::Start(const std::vector<std::string>& more,
                         const std::vector<std::string>& environment) {
  ChildOptions options;
  options.program = SELVEDGE_AGENT;
  options.arguments = {"--state", state_, "--log-level", "debug"};
  options.arguments.insert(options.arguments.end(), more.begin(), more.end());
  options.environment = {"SELVEDGE_CACHE_DIR=" + state_ + "/cache"};
  options.environment.insert(options.environment.end(), environment.begin(), environment.end());
  options.output_file = log_;
  auto child = ChildProcess::Start(options);
  ASSERT_TRUE(child.has_value()) << child.error().message();
  child_ = *std::move(child);
}

void AgentProcess::Kill() {
  kill(child_->pid(), SIGKILL);
  (void)child_->Wait(10 * kSecond);
  child_.reset();
}

std::optional<int> AgentProcess::Terminate() {
  child_->Signal(SIGTERM);
  return Wait();
}

std::optional<int> AgentProcess::Wait() {
  const std::optional<int> code = child_->Wait(40 * kSecond);
  child_.reset();
  return code;
}

std::string AgentProcess::Log() const {
  return ReadWhole(log_);
}

std::set<pid_t> AgentProcess::Services() const {
  std::set<pid_t> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size()) continue;
    const std::string environment = ReadWhole(entry.path() / "environ");
    if (environment.find("SELVEDGE_AGENT_SOCKET=" + state_ + "/") != std::string::npos) {
      found.insert(pid);
    }
  }
  return found;
}

}  // namespace selvedge
