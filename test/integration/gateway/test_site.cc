#include "test_site.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/file.h"
#include "core/event_batch.h"
#include "core/topic.h"
#include "net/free_port.h"
#include "net/http_client.h"
#include "net/mqtt/broker_acl.h"

namespace selvedge {
namespace {

std::unique_ptr<Database> OpenDatabase(const std::string& path, std::string_view schema) {
  const std::string_view migrations[] = {schema};
  auto database = Database::Open(path, migrations);
  EXPECT_TRUE(database.has_value()) << database.error().ToString();
  return *std::move(database);
}

}  // namespace

// --- The cloud.

FakeCloud::FakeCloud(TestFleet* fleet) : fleet_(fleet) {
  database_ = OpenDatabase(*fleet / "cloud.db", kInboxSchema);
  inbox_ = std::make_unique<Inbox>(database_.get());
  broker_options_ =
      fleet->Broker("cloud-broker", CloudBrokerAcl("control-plane", {{kSite, kGateway, true}}));
  StartBroker();
  MqttOptions options = fleet->Client("control-plane", broker_->port());
  MqttCallbacks callbacks;
  callbacks.connected = [this] {
    const std::lock_guard lock(mutex_);
    for (const auto& [node, payload] : desired_) {
      (void)client_->Publish(TopicName(kSite, node, TopicKind::kDesired), payload, 1, true);
    }
  };
  callbacks.message = [this](const MqttMessage& message) { OnMessage(message); };
  const std::lock_guard lock(mutex_);
  client_ = *MqttClient::Start(options, callbacks);
  for (const char* kind : {"birth", "state", "event", "result"}) {
    EXPECT_TRUE(client_->Subscribe("selvedge/v1/+/+/" + std::string(kind), 1).ok());
  }
}

FakeCloud::~FakeCloud() {
  client_->Stop();
}

void FakeCloud::StartBroker() {
  auto broker = Broker::Start(broker_options_);
  ASSERT_TRUE(broker.has_value()) << broker.error().ToString();
  broker_ = *std::move(broker);
}

void FakeCloud::StopBroker() {
  broker_.reset();
}

std::string FakeCloud::url() const {
  return "mqtts://127.0.0.1:" + std::to_string(broker_->port());
}

void FakeCloud::Publish(const std::string& node, TopicKind kind, const std::string& payload) {
  const std::lock_guard lock(mutex_);
  if (kind == TopicKind::kDesired) desired_[node] = payload;
  (void)client_->Publish(TopicName(kSite, node, kind), payload, 1, kind == TopicKind::kDesired);
}

void FakeCloud::SetMembers(const std::vector<std::string>& devices, std::uint32_t window_seconds) {
  v1::Desired desired;
  desired.set_device(kGateway);
  desired.set_generation(++generation_);
  for (const std::string& device : devices) {
    v1::Member* member = desired.add_members();
    member->set_device(device);
    member->set_certificate_sha256("-");
  }
  desired.mutable_gateway()->set_window_seconds(window_seconds);
  Publish(kGateway, TopicKind::kDesired, desired.SerializeAsString());
}

void FakeCloud::Commit(const std::string& node, const v1::EventBatch& batch) {
  const auto accepted = inbox_->Accept(node, batch, [this](v1::EventList* fresh) {
    for (const v1::Event& event : fresh->events()) {
      if (!events_.emplace(event.id(), event).second) ++doubled_;
    }
    for (const v1::Aggregate& aggregate : fresh->aggregates()) aggregated_ += aggregate.events();
    return OkStatus();
  });
  ASSERT_TRUE(accepted.has_value()) << accepted.error().ToString();
  (void)client_->Publish(TopicName(kSite, node, TopicKind::kAck), accepted->ack.SerializeAsString(),
                         0, false);
}

void FakeCloud::OnMessage(const MqttMessage& message) {
  const std::optional<Topic> topic = ParseTopic(message.topic);
  ASSERT_TRUE(topic.has_value()) << message.topic;
  const std::lock_guard lock(mutex_);
  switch (topic->kind) {
    case TopicKind::kBirth:
      EXPECT_TRUE(births_[topic->node].ParseFromString(message.payload));
      break;
    case TopicKind::kState:
      EXPECT_TRUE(states_[topic->node].ParseFromString(message.payload));
      break;
    case TopicKind::kResult: {
      v1::CommandResult result;
      EXPECT_TRUE(result.ParseFromString(message.payload));
      results_.insert(topic->node + "/" + result.id());
      break;
    }
    default: {
      v1::EventBatch batch;
      ASSERT_TRUE(batch.ParseFromString(message.payload));
      Commit(topic->node, batch);
    }
  }
  changed_.notify_all();
}

std::size_t FakeCloud::events() const {
  const std::lock_guard lock(mutex_);
  return events_.size();
}
std::uint64_t FakeCloud::doubled() const {
  const std::lock_guard lock(mutex_);
  return doubled_;
}
std::uint64_t FakeCloud::aggregated() const {
  const std::lock_guard lock(mutex_);
  return aggregated_;
}
std::vector<v1::Event> FakeCloud::Events() const {
  const std::lock_guard lock(mutex_);
  std::vector<v1::Event> events;
  for (const auto& [id, event] : events_) events.push_back(event);
  return events;
}
bool FakeCloud::Heard(const std::string& node) const {
  const std::lock_guard lock(mutex_);
  return births_.contains(node) || states_.contains(node);
}

template <typename Holds>
bool FakeCloud::Await(Holds holds) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, holds);
}
bool FakeCloud::AwaitBirth(const std::string& node,
                           const std::function<bool(const v1::Birth&)>& holds) {
  return Await([&] { return births_.contains(node) && holds(births_[node]); });
}
bool FakeCloud::AwaitState(const std::string& node,
                           const std::function<bool(const v1::State&)>& holds) {
  return Await([&] { return states_.contains(node) && holds(states_[node]); });
}
bool FakeCloud::AwaitResult(const std::string& node, const std::string& id) {
  return Await([&] { return results_.contains(node + "/" + id); });
}

// --- A device.

FakeDevice::FakeDevice(TestFleet* fleet, const std::string& name, int port) : name_(name) {
  database_ = OpenDatabase(*fleet / (name + ".db"), kOutboxSchema);
  outbox_ = *Outbox::Open(database_.get());
  sender_ = std::make_unique<OutboxSender>(
      outbox_.get(), Clock::System(),
      [this](const v1::EventBatch& batch) {
        return client_
            ->Publish(TopicName(kSite, name_, TopicKind::kEvent), batch.SerializeAsString(), 0,
                      false)
            .ok();
      },
      BatchSenderOptions{.ack_timeout = 2 * kSecond, .max_records = 50});
  MqttOptions options = fleet->Client(name, port);
  v1::Birth birth;
  birth.set_device(name);
  options.will =
      MqttMessage{TopicName(kSite, name, TopicKind::kBirth), birth.SerializeAsString(), 1, true};
  MqttCallbacks callbacks;
  callbacks.connected = [this, birth]() mutable {
    const std::lock_guard lock(mutex_);
    birth.set_online(true);
    (void)client_->Publish(TopicName(kSite, name_, TopicKind::kBirth), birth.SerializeAsString(), 1,
                           true);
    sender_->Connected();
    wake_.notify_one();
  };
  callbacks.lost = [this](const Status&, bool was_connected) {
    const std::lock_guard lock(mutex_);
    if (was_connected) sender_->Disconnected();
  };
  callbacks.message = [this](const MqttMessage& message) {
    const std::lock_guard lock(mutex_);
    const auto topic = ParseTopic(message.topic);
    if (topic->kind == TopicKind::kAck) {
      v1::Ack ack;
      EXPECT_TRUE(ack.ParseFromString(message.payload));
      EXPECT_TRUE(sender_->OnAck(ack).ok());
    } else if (topic->kind == TopicKind::kDesired) {
      EXPECT_TRUE(desired_.ParseFromString(message.payload));
    } else {
      commands_.push_back(message.payload);
    }
    wake_.notify_one();
  };
  {
    const std::lock_guard lock(mutex_);
    client_ = *MqttClient::Start(options, callbacks);
  }
  for (const TopicKind kind : {TopicKind::kAck, TopicKind::kDesired, TopicKind::kCommand}) {
    EXPECT_TRUE(client_->Subscribe(TopicName(kSite, name, kind), 1).ok());
  }
  timer_ = std::thread([this] { Run(); });
}

FakeDevice::~FakeDevice() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  timer_.join();
  client_->Stop();
}

void FakeDevice::Run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    EXPECT_TRUE(sender_->Pump().ok());
    const Nanos now = Clock::System().Monotonic();
    const Nanos next = sender_->NextTime().value_or(now + kSecond);
    wake_.wait_for(lock, std::chrono::nanoseconds(std::max<Nanos>(next - now, kMillisecond)));
  }
}

void FakeDevice::Add(int events) {
  {
    const std::lock_guard lock(mutex_);
    std::vector<OutboxRecord> records;
    for (int i = 0; i < events; ++i) {
      v1::Event event;
      event.set_id(name_ + "-" + std::to_string(++added_));
      event.set_pipeline("safety-monitor");
      event.set_captured_unix_ns(static_cast<std::int64_t>(added_));  // a clock that began in 1970
      event.mutable_decision()->set_rule("intrusion");
      event.mutable_decision()->set_state("enter");
      event.mutable_times()->set_total_us(10'000);
      records.push_back(OutboxRecord::Of(event));
    }
    EXPECT_TRUE(outbox_->Append(records).has_value());
  }
  wake_.notify_one();
}

std::uint64_t FakeDevice::waiting() const {
  const std::lock_guard lock(mutex_);
  return outbox_->View()->counters.waiting;
}
v1::Desired FakeDevice::desired() const {
  const std::lock_guard lock(mutex_);
  return desired_;
}
std::vector<std::string> FakeDevice::commands() const {
  const std::lock_guard lock(mutex_);
  return commands_;
}
void FakeDevice::SendState(double frames_per_second, std::int64_t time_unix_ns) {
  v1::State state;
  state.set_device(name_);
  state.set_time_unix_ns(time_unix_ns);
  state.add_services()->mutable_pipeline()->set_frames_per_second(frames_per_second);
  EXPECT_TRUE(
      client_
          ->Publish(TopicName(kSite, name_, TopicKind::kState), state.SerializeAsString(), 1, true)
          .ok());
}

// --- The gateway.

GatewayProcess::GatewayProcess(TestFleet* fleet, const FakeCloud& cloud, std::string state)
    : fleet_(fleet), state_(std::move(state)), metrics_port_(*FindFreePort("127.0.0.1")) {
  const std::string identity = state_ + "/identity";
  std::filesystem::create_directories(identity);
  const TestFleet::Files files = fleet->Issue(kGateway);
  std::filesystem::copy_file(files.certificate, identity + "/certificate.pem");
  std::filesystem::copy_file(fleet->ca_file(), identity + "/ca.pem");
  EXPECT_TRUE(WriteSecretFile(identity + "/key.pem", *ReadFile(files.key, 10'000)).ok());
  const nlohmann::json node = {{"site", kSite},
                               {"name", kGateway},
                               {"role", "gateway"},
                               {"mqtt", {cloud.url()}},
                               {"registry", "https://127.0.0.1:1"},
                               {"url", "https://127.0.0.1:1"}};
  EXPECT_TRUE(WriteFileAtomically(identity + "/node.json", node.dump()).ok());
}

GatewayProcess::~GatewayProcess() {
  if (child_) Kill();
}

void GatewayProcess::Start(std::vector<std::string> more) {
  ChildOptions options;
  options.program = SELVEDGE_GATEWAY;
  options.arguments = {"--state",     state_,  "--listen",       "127.0.0.1",
                       "--mqtt-port", "0",     "--https-port",   "0",
                       "--log-level", "debug", "--metrics-port", std::to_string(metrics_port_)};
  options.arguments.insert(options.arguments.end(), more.begin(), more.end());
  options.output_file = *fleet_ / "gateway.log";
  auto child = ChildProcess::Start(options);
  ASSERT_TRUE(child.has_value()) << child.error().ToString();
  child_.emplace(*std::move(child));
}

void GatewayProcess::Kill() {
  child_->Signal(SIGKILL);
  EXPECT_TRUE(child_->Wait(10 * kSecond).has_value());
  child_.reset();
}

int GatewayProcess::Terminate() {
  child_->Signal(SIGTERM);
  const std::optional<int> code = child_->Wait(20 * kSecond);
  child_.reset();
  return code.value_or(-1);
}

std::string GatewayProcess::Get(const std::string& path) const {
  HttpClient client;
  HttpCall call;
  call.url = "http://127.0.0.1:" + std::to_string(metrics_port_) + path;
  const Result<HttpAnswer> answer = client.Call(call);
  return answer ? answer->body : "";
}

bool GatewayProcess::AwaitReady() {
  return Eventually([this] { return Get("/readyz") == "ready\n"; }) ||
         (ADD_FAILURE() << Get("/readyz") << Log(), false);
}

double GatewayProcess::Metric(const std::string& name) const {
  const std::string text = "\n" + Get("/metrics");
  const std::size_t at = text.find("\n" + name + " ");
  return at == std::string::npos ? -1 : std::atof(text.c_str() + at + name.size() + 2);
}

int GatewayProcess::Place(const char* name) const {
  const auto json =
      nlohmann::json::parse(ReadFile(state_ + "/places.json", 10'000).value_or(""), nullptr, false);
  return json.is_object() ? json.value(name, 0) : 0;
}
int GatewayProcess::mqtt_port() const {
  return Place("mqtt_port");
}
int GatewayProcess::https_port() const {
  return Place("https_port");
}

std::string GatewayProcess::Log() const {
  return ReadFile(*fleet_ / "gateway.log", std::size_t{64} << 20).value_or("");
}

}  // namespace selvedge
