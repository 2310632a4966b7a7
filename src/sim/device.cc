#include "sim/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace selvedge {
namespace {

constexpr Nanos kPulse = 5 * kSecond;

ReconcileOptions MakeReconcileOptions(SimLoop* loop, const DeviceLimits* limits,
                                      const v1::Desired* desired) {
  ReconcileOptions options;
  options.random = [loop] { return loop->random().Unit(); };
  options.check = [limits, desired](const v1::ServiceSpec& spec) {
    return CheckSpecAmong(spec, *desired, *limits);
  };
  return options;
}

}  // namespace

std::string OverCapacity(const v1::Facts& facts, const std::vector<const v1::ServiceSpec*>& specs) {
  double gpu = 0;
  double tpu = 0;
  double memory = 0;
  double cpus = 0;
  std::set<std::uint32_t> ports;
  for (const v1::ServiceSpec* spec : specs) {
    gpu += spec->resources().gpu();
    tpu += spec->resources().tpu();
    memory += static_cast<double>(spec->resources().memory_bytes());
    cpus += spec->resources().cpus();
    for (const v1::Port& port : spec->ports()) {
      if (!ports.insert(port.external()).second) {
        return fmt::format("port {} is taken twice", port.external());
      }
    }
  }
  if (gpu > facts.gpus()) return fmt::format("{} of {} gpu", gpu, facts.gpus());
  if (tpu > facts.tpus()) return fmt::format("{} of {} tpu", tpu, facts.tpus());
  if (cpus > facts.cpu_cores() + 1e-6) {
    return fmt::format("{} of {} cores", cpus, facts.cpu_cores());
  }
  if (memory > static_cast<double>(facts.memory_bytes())) {
    return fmt::format("{} of {} bytes", memory, facts.memory_bytes());
  }
  return {};
}

SimDevice::SimDevice(SimLoop* loop, SimBroker* broker, const LinkQuality* quality,
                     SimDeviceOptions options, SimViolation violation)
    : loop_(*loop),
      options_(std::move(options)),
      violation_(std::move(violation)),
      client_(loop, broker, quality, options_.name,
              {.site = options_.site, .node = options_.name, .upward = false},
              {.connected =
                   [this] {
                     SendBirth();
                     pacer_->Forget();
                     MaybeSendState();
                     if (sender_) sender_->Connected();
                     Pump();
                   },
               .lost =
                   [this] {
                     if (sender_) sender_->Disconnected();
                   },
               .message = [this](const SimMessage& message) { OnMessage(message); }}) {}

void SimDevice::Check(const Status& status, std::string_view what) {
  if (!status.ok()) violation_(options_.name, fmt::format("{}: {}", what, status.message()));
}

void SimDevice::Mine(Nanos delay, std::function<void()> what) {
  loop_.After(delay, [this, life = life_, what = std::move(what)] {
    if (running_ && life == life_) what();
  });
}

// ---- life and death ----------------------------------------------------------------------------

void SimDevice::OpenOutbox() {
  if (options_.outbox_file.empty()) return;
  if (!disk_.database) {
    const std::array<std::string_view, 1> migrations = {kOutboxSchema};
    DatabaseOptions database;
    database.sync = DatabaseOptions::Sync::kNormal;  // the machine itself is not killed
    database.reserve_bytes = 0;
    auto opened =
        Database::Open(options_.outbox_file + std::to_string(disks_), migrations, database);
    if (!opened) return Check(opened.error(), "its database");
    disk_.database = *std::move(opened);
  }
  OutboxOptions outbox;
  if (options_.outbox_records > 0) outbox.max_records = options_.outbox_records;
  auto opened = Outbox::Open(disk_.database.get(), outbox);
  if (!opened) return Check(opened.error(), "its outbox");
  outbox_ = *std::move(opened);
  sender_.emplace(
      outbox_.get(), loop_.clock(),
      [this](const v1::EventBatch& batch) {
        return client_.Publish({{options_.site, options_.name, TopicKind::kEvent},
                                batch.SerializeAsString(),
                                0,
                                false});
      },
      BatchSenderOptions{.max_records = 8});
}

void SimDevice::Start() {
  if (running_) return;
  running_ = true;
  ++life_;
  boot_id_ = fmt::format("{}-{}", options_.name, life_);
  sequence_ = 0;
  pacer_.emplace(options_.state_interval);
  wake_at_ = 0;
  loop_.Note(options_.name, "starts");
  reconciler_.emplace(MakeReconcileOptions(&loop_, &options_.limits, &disk_.desired));
  for (const auto& [key, process] : processes_) reconciler_->Adopted(process.spec, loop_.now());
  reconciler_->SetDesired(disk_.desired, loop_.now());
  OpenOutbox();
  client_.Start(SimMessage{{options_.site, options_.name, TopicKind::kBirth},
                           Birth(false).SerializeAsString(),
                           1,
                           true});
  Work();
  Mine(kPulse, [this] { Pulse(); });
  if (outbox_) Mine(loop_.random().Between(1, 5) * kSecond, [this] { MakeEvents(); });
}

void SimDevice::Crash(bool reboot) {
  if (!running_) return;
  loop_.Note(options_.name, reboot ? "reboots" : "its agent is killed");
  running_ = false;
  ++life_;
  client_.Stop(false);
  reconciler_.reset();
  sender_.reset();
  outbox_.reset();
  if (reboot) processes_.clear();
}

void SimDevice::Wipe() {
  loop_.Note(options_.name, "gets another disk");
  disk_ = {};
  processes_.clear();
  ++disks_;
}

void SimDevice::SetLabels(std::map<std::string, std::string> labels) {
  before_.push_back(options_);
  options_.labels = std::move(labels);
}

// ---- what is said ------------------------------------------------------------------------------

v1::Birth SimDevice::Birth(bool online) const {
  v1::Birth birth;
  birth.set_device(options_.name);
  birth.set_boot_id(boot_id_);
  birth.set_online(online);
  birth.set_role(v1::DEVICE);
  if (!online) return birth;
  *birth.mutable_facts() = options_.facts;
  for (const auto& [key, value] : options_.labels) (*birth.mutable_labels())[key] = value;
  return birth;
}

void SimDevice::SendBirth() {
  client_.Publish({{options_.site, options_.name, TopicKind::kBirth},
                   Birth(true).SerializeAsString(),
                   1,
                   true});
}

std::vector<v1::ServiceStatus> SimDevice::Report() {
  return reconciler_ ? reconciler_->Report(Wall()) : std::vector<v1::ServiceStatus>();
}

void SimDevice::MaybeSendState() {
  if (!client_.connected()) return;
  v1::State state;
  state.set_device(options_.name);
  state.set_boot_id(boot_id_);
  state.set_generation(disk_.desired.generation());
  for (v1::ServiceStatus& service : Report()) *state.add_services() = std::move(service);
  if (!pacer_->Due(state, loop_.now())) return;
  state.set_sequence(++sequence_);
  state.set_time_unix_ns(Wall());
  client_.Publish(
      {{options_.site, options_.name, TopicKind::kState}, state.SerializeAsString(), 1, true});
}

void SimDevice::OnMessage(const SimMessage& message) {
  if (message.topic.kind == TopicKind::kDesired) {
    v1::Desired desired;
    if (!message.payload.empty() && desired.ParseFromString(message.payload)) OnDesired(desired);
  } else if (message.topic.kind == TopicKind::kAck && sender_) {
    v1::Ack ack;
    if (!ack.ParseFromString(message.payload)) return;
    Check(sender_->OnAck(ack), "an Ack");
    Pump();
  }
}

void SimDevice::OnDesired(const v1::Desired& desired) {
  if (desired.device() != options_.name) {
    violation_(options_.name, "it got the document of " + desired.device());
    return;
  }
  if (desired.generation() <= disk_.desired.generation()) return;
  loop_.Note(options_.name, fmt::format("takes generation {}", desired.generation()));
  disk_.desired = desired;
  std::vector<const v1::ServiceSpec*> specs;
  for (const v1::ServiceSpec& spec : desired.services()) specs.push_back(&spec);
  if (const std::string over = OverCapacity(options_.facts, specs); !over.empty()) {
    violation_(options_.name, "it is to run more than it has: " + over);
  }
  reconciler_->SetDesired(desired, loop_.now());
  Work();
}

// ---- what is done ------------------------------------------------------------------------------

void SimDevice::Work() {
  for (int i = 0; i < 10; ++i) {
    const std::vector<Action> actions = reconciler_->Step(loop_.now());
    if (actions.empty()) break;
    for (const Action& action : actions) Act(action);
  }
  MaybeSendState();
  Nanos next = pacer_->NextTime(loop_.now());
  if (const std::optional<Nanos> time = reconciler_->NextTime()) next = std::min(next, *time);
  if (wake_at_ > loop_.now() && wake_at_ <= next) return;
  // While it is not connected the pacer has nothing to wait for.
  wake_at_ = std::max(next, loop_.now() + (client_.connected() ? kMillisecond : kSecond));
  Mine(wake_at_ - loop_.now(), [this] { Work(); });
}

void SimDevice::Act(const Action& action) {
  switch (action.kind) {
    case Action::Kind::kFetch: Fetch(action.spec); break;
    case Action::Kind::kStart: StartService(action.spec); break;
    case Action::Kind::kStop: StopService(action.service); break;
    case Action::Kind::kForget: break;
  }
}

void SimDevice::Fetch(const v1::ServiceSpec& spec) {
  const std::string content = ContentKeyOf(spec);
  if (disk_.contents.contains(content)) return reconciler_->ContentReady(content);
  const bool fails = troubled_ && loop_.random().Chance(0.15);
  Mine(loop_.random().Between(100, 4'000) * kMillisecond, [this, content, fails] {
    if (fails) {
      reconciler_->FetchFailed(content, UnavailableError("the registry is away"), loop_.now());
    } else {
      disk_.contents.insert(content);
      reconciler_->ContentReady(content);
    }
    Work();
  });
}

// What must hold whenever something is started.
void SimDevice::CheckStart(const v1::ServiceSpec& spec) {
  const std::string name = KeyOf(spec).ToString();
  if (const Status status = CheckSpec(spec, options_.limits); !status.ok()) {
    violation_(options_.name, name + " is started though " + status.message());
  }
  if (processes_.contains(KeyOf(spec))) violation_(options_.name, name + " is started twice");
  if (!disk_.contents.contains(ContentKeyOf(spec))) {
    violation_(options_.name, name + " is started without its content");
  }
  const bool desired = std::ranges::any_of(disk_.desired.services(), [&](const auto& other) {
    return FingerprintOf(other) == FingerprintOf(spec);
  });
  if (!desired) violation_(options_.name, name + " is started though it is not desired");
  if (placed_ && !placed_(spec)) {
    violation_(options_.name, name + " is started though nobody placed it there");
  }
}

void SimDevice::StartService(const v1::ServiceSpec& spec) {
  const ServiceKey key = KeyOf(spec);
  // Now and then something else has its port, or its camera.
  if (troubled_ && loop_.random().Chance(0.05)) {
    return reconciler_->Deferred(key, "waits for a port that somebody else has", loop_.now());
  }
  if (troubled_ && loop_.random().Chance(0.05)) {
    return reconciler_->StartFailed(key, InternalError("it did not start"), loop_.now());
  }
  CheckStart(spec);
  const std::uint64_t id = next_process_++;
  processes_[key] = {spec, id};
  loop_.Note(options_.name, "runs " + key.ToString() + " " + spec.version());
  CheckCapacity();
  reconciler_->Started(key, loop_.now());
  Mine(loop_.random().Between(50, 1'000) * kMillisecond, [this, key] {
    v1::PipelineMetrics metrics;
    metrics.set_ready(true);
    reconciler_->Heard(key, &metrics, loop_.now());
    Work();
  });
  if (troubled_ && loop_.random().Chance(0.1)) {
    loop_.After(loop_.random().Between(1, 60) * kSecond,
                [this, key, id] { EndProcess(key, id, "it crashed"); });
  }
}

void SimDevice::StopService(const ServiceKey& key) {
  const auto found = processes_.find(key);
  if (found == processes_.end()) {
    return reconciler_->Ended(key, "it was gone", loop_.now());
  }
  found->second.ending = true;
  loop_.After(loop_.random().Between(10, 2'000) * kMillisecond,
              [this, key, id = found->second.id] { EndProcess(key, id, "it was stopped"); });
}

void SimDevice::EndProcess(const ServiceKey& key, std::uint64_t id, const std::string& how) {
  const auto found = processes_.find(key);
  if (found == processes_.end() || found->second.id != id) return;
  processes_.erase(found);
  loop_.Note(options_.name, "ended: " + key.ToString() + ", " + how);
  if (!running_) return;
  reconciler_->Ended(key, how, loop_.now());
  Work();
}

void SimDevice::CheckCapacity() {
  std::vector<const v1::ServiceSpec*> specs;
  for (const auto& [key, process] : processes_) specs.push_back(&process.spec);
  if (const std::string over = OverCapacity(options_.facts, specs); !over.empty()) {
    violation_(options_.name, "it runs more than it has: " + over);
  }
}

void SimDevice::Pulse() {
  v1::PipelineMetrics metrics;
  metrics.set_ready(true);
  for (const auto& [key, process] : processes_) {
    if (!process.ending) reconciler_->Heard(key, &metrics, loop_.now());
  }
  Work();
  Pump();
  Mine(kPulse, [this] { Pulse(); });
}

// ---- events ------------------------------------------------------------------------------------

void SimDevice::MakeEvents() {
  std::vector<OutboxRecord> records;
  std::vector<std::string> ids;
  for (std::int64_t i = loop_.random().Between(1, 4); i > 0; --i) {
    v1::Event event;
    event.set_id(fmt::format("{}-{}", options_.name, accepted_.size() + ids.size() + 1));
    event.set_device(options_.name);
    event.set_pipeline("app/service");
    event.set_captured_unix_ns(Wall());
    event.mutable_decision()->set_rule("someone-came");
    event.mutable_decision()->set_state("start");
    ids.push_back(event.id());
    records.push_back(OutboxRecord::Of(event));
  }
  const auto appended = outbox_->Append(records);
  if (!appended) {
    Check(appended.error(), "its outbox takes nothing");
  } else {
    accepted_.insert(accepted_.end(), ids.begin(), ids.end());
    Pump();
  }
  // Events cease with the trouble, so that there is an end to wait for.
  if (troubled_) Mine(loop_.random().Between(1, 8) * kSecond, [this] { MakeEvents(); });
}

void SimDevice::Pump() {
  if (!sender_) return;
  Check(sender_->Pump(), "its outbox");
  if (const std::optional<Nanos> next = sender_->NextTime();
      next && *next > loop_.now() && *next < loop_.now() + kSecond) {
    Mine(*next - loop_.now(), [this] { Check(sender_->Pump(), "its outbox"); });
  }
}

std::uint64_t SimDevice::dropped() const {
  if (!outbox_) return 0;
  const auto view = outbox_->View();
  return view ? view->counters.dropped : 0;
}

std::uint64_t SimDevice::waiting() const {
  if (!outbox_) return 0;
  const auto view = outbox_->View();
  return view ? view->counters.waiting : 0;
}

}  // namespace selvedge
