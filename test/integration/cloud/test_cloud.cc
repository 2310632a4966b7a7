#include "test_cloud.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/file.h"
#include "core/topic.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

constexpr std::string_view kPrefix = "/api/v1";

}  // namespace

TestFolder::TestFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "selvedge-cloud-XXXXXX").string();
  path_ = ::mkdtemp(pattern.data()) == nullptr ? "" : pattern;
}

TestFolder::~TestFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

bool Await(const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + 30s;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(20ms);
  }
  return true;
}

// ---- TestCloud ---------------------------------------------------------------------------------

TestCloud::TestCloud(std::vector<std::string> arguments) : arguments_(std::move(arguments)) {
  Start();
}

TestCloud::~TestCloud() {
  if (child_) child_->Stop(5 * kSecond);
  if (testing::Test::HasFailure()) std::fprintf(stderr, "---- the cloud said\n%s\n", log().c_str());
}

std::string TestCloud::log() const {
  std::ifstream file(folder_ / "log");
  return {std::istreambuf_iterator<char>(file), {}};
}

void TestCloud::Start() {
  std::filesystem::remove(File("api.url"));
  ChildOptions options{.program = SELVEDGE_CLOUD, .output_file = folder_ / "log"};
  options.arguments = {"--state",     folder_ / "state", "--http", "localhost:0",     "--https",
                       "127.0.0.1:0", "--mqtt-port",     "0",      "--registry-port", "0",
                       "--advertise", "127.0.0.1"};
  options.arguments.insert(options.arguments.end(), arguments_.begin(), arguments_.end());
  auto child = ChildProcess::Start(options);
  ASSERT_TRUE(child) << child.error().ToString();
  child_.emplace(*std::move(child));
  const bool ready = Await([&] {
    url_ = FirstLine(File("api.url"));
    admin_ = FirstLine(File("admin.token"));
    return !url_.empty() && Raw({.url = url_ + "/readyz"}).status == 200;
  });
  ASSERT_TRUE(ready) << log();
}

void TestCloud::Kill() {
  child_->Signal(SIGKILL);
  child_->Wait(10 * kSecond);
}

int TestCloud::Stop() {
  return child_->Stop(10 * kSecond);
}

std::string TestCloud::Answer::Header(const std::string& name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

TestCloud::Answer TestCloud::Raw(const HttpCall& call) {
  Answer answer;
  auto result = client_.Call(call);
  if (!result) {
    answer.text = result.error().message();
    return answer;
  }
  answer.status = result->status;
  answer.text = result->body;
  answer.json = json::parse(result->body, nullptr, false);
  answer.headers = result->headers;
  return answer;
}

TestCloud::Answer TestCloud::CallAs(const std::string& token, const std::string& method,
                                    const std::string& path, const std::string& body) {
  return Raw(
      {.method = method, .url = url_ + std::string(kPrefix) + path, .bearer = token, .body = body});
}

TestCloud::Answer TestCloud::Call(const std::string& method, const std::string& path,
                                  const std::string& body) {
  return CallAs(admin_, method, path, body);
}

std::string TestCloud::MakeJoinToken(const std::string& role, const std::string& site,
                                     int expires_s) {
  const Answer answer =
      Call("POST", "/tokens",
           json{{"kind", "join"}, {"role", role}, {"site", site}, {"expires_s", expires_s}}.dump());
  EXPECT_EQ(answer.status, 201) << answer.text;
  return answer.json.value("token", "");
}

std::string TestCloud::MakeUserToken(const std::string& role) {
  const Answer answer =
      Call("POST", "/tokens", json{{"kind", "user"}, {"role", role}, {"name", "tester"}}.dump());
  EXPECT_EQ(answer.status, 201) << answer.text;
  return answer.json.value("token", "");
}

void TestCloud::Push(const std::string& path, const std::string& tag) {
  const std::string registry = FirstLine(File("registry.url"));
  HttpClient client({.tls = {.ca_file = File("ca.pem")}});
  const std::string config = "{}";
  const std::string digest = *DigestOf(config);
  const auto blob =
      client.CallOk({.method = "POST",
                     .url = registry + "/v2/" + path + "/blobs/uploads/?digest=" + digest,
                     .headers = {{"Content-Type", "application/octet-stream"}},
                     .bearer = admin_,
                     .body = config});
  ASSERT_TRUE(blob) << blob.error().ToString();
  const json manifest = {
      {"schemaVersion", 2},
      {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
      {"artifactType", "application/vnd.selvedge.test"},
      {"config",
       {{"mediaType", "application/vnd.oci.empty.v1+json"}, {"digest", digest}, {"size", 2}}},
      {"layers", json::array({{{"mediaType", "application/vnd.oci.empty.v1+json"},
                               {"digest", digest},
                               {"size", 2}}})},
      {"annotations", {{"tag", tag}}}};
  const auto put =
      client.CallOk({.method = "PUT",
                     .url = registry + "/v2/" + path + "/manifests/" + tag,
                     .headers = {{"Content-Type", "application/vnd.oci.image.manifest.v1+json"}},
                     .bearer = admin_,
                     .body = manifest.dump()});
  ASSERT_TRUE(put) << put.error().ToString();
}

// ---- TestDevice --------------------------------------------------------------------------------

TestDevice::TestDevice(const std::string& token, const std::string& name)
    : state_(folder_ / "state"), name_(name) {
  const auto parsed = ParseJoinToken(token);
  if (!parsed) {
    join_status_ = parsed.error();
    return;
  }
  auto identity = JoinFleet(state_, *parsed, {.name = name});
  if (!identity) {
    join_status_ = identity.error();
    return;
  }
  identity_ = *std::move(identity);
  static const std::string_view migrations[] = {kOutboxSchema};
  database_ = *Database::Open(folder_ / "outbox.db", migrations);
  outbox_ = *Outbox::Open(database_.get());
  sender_ = std::make_unique<OutboxSender>(
      outbox_.get(), Clock::System(), [this](const v1::EventBatch& batch) {
        return client_ != nullptr &&
               client_
                   ->Publish(TopicName(identity_.site, name_, TopicKind::kEvent),
                             batch.SerializeAsString(), 0, false)
                   .ok();
      });
  pump_ = std::jthread([this](const std::stop_token& stop) { Pump(stop); });
}

TestDevice::~TestDevice() {
  pump_.request_stop();
  if (pump_.joinable()) pump_.join();
  if (client_ != nullptr) client_->Stop();
}

void TestDevice::Connect(const std::map<std::string, std::string>& labels) {
  v1::Birth birth;
  v1::Birth will;
  {
    const std::lock_guard lock(mutex_);
    labels_ = labels;
    boot_ = name_ + "-" + std::to_string(++boots_);
    sequence_ = 0;
    will.set_device(name_);
    will.set_boot_id(boot_);
    birth = will;
  }
  birth.set_online(true);
  birth.mutable_facts()->set_arch("x86");
  birth.mutable_facts()->set_cpu_cores(2);
  birth.mutable_facts()->set_memory_bytes(std::uint64_t{1} << 30);
  for (const auto& [key, value] : labels) (*birth.mutable_labels())[key] = value;
  MqttOptions options{
      .uris = identity_.mqtt,
      .client_id = name_,
      .ca_file = identity_.ca_file,
      .certificate_file = identity_.certificate_file,
      .key_file = identity_.key_file,
      .will = MqttMessage{.topic = TopicName(identity_.site, name_, TopicKind::kBirth),
                          .payload = will.SerializeAsString(),
                          .qos = 1,
                          .retained = true},
      .retry_first = 50 * kMillisecond,
      .retry_max = 200 * kMillisecond};
  auto client = MqttClient::Start(
      std::move(options), {.connected =
                               [this, text = birth.SerializeAsString()] {
                                 const std::lock_guard lock(mutex_);
                                 (void)client_->Publish(
                                     TopicName(identity_.site, name_, TopicKind::kBirth), text, 1,
                                     true);
                                 SayState();
                                 sender_->Connected();
                                 wake_.notify_all();
                               },
                           .lost =
                               [this](const Status&, bool) {
                                 const std::lock_guard lock(mutex_);
                                 sender_->Disconnected();
                               },
                           .message = [this](const MqttMessage& message) { OnMessage(message); }});
  ASSERT_TRUE(client) << client.error().ToString();
  {
    const std::lock_guard lock(mutex_);
    client_ = *std::move(client);
  }
  for (const TopicKind kind : {TopicKind::kDesired, TopicKind::kAck, TopicKind::kCommand}) {
    (void)client_->Subscribe(TopicName(identity_.site, name_, kind), 1);
  }
}

void TestDevice::Disconnect(MqttClient::StopMode mode) {
  client_->Stop(mode);
}

v1::Desired TestDevice::desired() const {
  const std::lock_guard lock(mutex_);
  return desired_;
}

void TestDevice::Report(const std::function<void(v1::State*)>& change) {
  const std::lock_guard lock(mutex_);
  change_ = change;
  SayState();
}

void TestDevice::OnCommand(std::function<v1::CommandResult(const v1::Command&)> answer) {
  const std::lock_guard lock(mutex_);
  answer_ = std::move(answer);
}

void TestDevice::SayState() {
  if (client_ == nullptr) return;  // not connected yet: Connect says it
  v1::State state;
  state.set_device(name_);
  state.set_boot_id(boot_);
  state.set_sequence(++sequence_);
  state.set_generation(desired_.generation());
  state.set_time_unix_ns(Clock::System().Wall());
  if (change_) change_(&state);
  (void)client_->Publish(TopicName(identity_.site, name_, TopicKind::kState),
                         state.SerializeAsString(), 1, true);
}

void TestDevice::OnMessage(const MqttMessage& message) {
  const auto topic = ParseTopic(message.topic);
  if (!topic) return;
  const std::lock_guard lock(mutex_);
  if (topic->kind == TopicKind::kDesired) {
    desired_.ParseFromString(message.payload);
    SayState();
  } else if (topic->kind == TopicKind::kAck) {
    v1::Ack ack;
    if (ack.ParseFromString(message.payload)) (void)sender_->OnAck(ack);
    wake_.notify_all();
  } else if (topic->kind == TopicKind::kCommand && answer_) {
    v1::Command command;
    command.ParseFromString(message.payload);
    v1::CommandResult result = answer_(command);
    result.set_id(command.id());
    (void)client_->Publish(TopicName(identity_.site, name_, TopicKind::kResult),
                           result.SerializeAsString(), 1, false);
  }
}

void TestDevice::AddEvents(int count) {
  const std::lock_guard lock(mutex_);
  for (int i = 0; i < count; ++i) {
    v1::Event event;
    event.set_id(name_ + "-" + std::to_string(++events_));
    event.set_device(name_);
    event.set_pipeline("app/detector");
    event.set_captured_unix_ns(Clock::System().Wall());
    event.mutable_decision()->set_rule("kerb");
    event.add_detections()->set_label("person");
    const OutboxRecord record = OutboxRecord::Of(event);
    EXPECT_TRUE(outbox_->Append({&record, 1}));
  }
  wake_.notify_all();
}

std::uint64_t TestDevice::waiting() const {
  const std::lock_guard lock(mutex_);
  return outbox_->View()->counters.waiting;
}

Status TestDevice::Publish(const std::string& topic, const std::string& payload) {
  return client_->Publish(topic, payload, 1, false);
}

void TestDevice::Pump(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (client_ != nullptr) (void)sender_->Pump();
    wake_.wait_for(lock, stop, 20ms, [] { return false; });
  }
}

std::string TestManifest(const std::string& name, const std::string& image,
                         const std::string& hardware) {
  std::string text = "apiVersion: iofog.org/v3\nkind: Application\nmetadata: {name: " + name +
                     "}\nspec:\n  microservices:\n  - name: detector\n    images: {any: '" + image +
                     "'}\n";
  if (!hardware.empty()) {
    text +=
        "  placements:\n  - {type: constraint, key: hardware, operator: ==, value: " + hardware +
        "}\n";
  }
  return text;
}

}  // namespace selvedge
