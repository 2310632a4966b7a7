#include "device/agent/agent.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <random>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/resident_memory.h"
#include "core/event_id.h"
#include "device/agent/agent_core.h"
#include "device/agent/facts.h"
#include "device/agent/service_log.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;

constexpr Nanos kLongestWait = 5 * kSecond;
constexpr Nanos kTidyInterval = 30 * kSecond;
constexpr Nanos kFirstTidy = 5 * kSecond;  // when what only the start needs has been done
constexpr Nanos kShutDownLimit = 25 * kSecond;
constexpr std::size_t kMaxFound = std::size_t{64} << 10;
constexpr std::size_t kMaxDesired = std::size_t{4} << 20;
constexpr std::uint64_t kLowDisk = std::uint64_t{32} << 20;
constexpr std::size_t kMaxInputs = 1024;
constexpr Nanos kLookInterval = 100 * kMillisecond;  // between two looks at the state

double RandomShare() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return std::uniform_real_distribution<double>(0, 1)(engine);
}

}  // namespace

AgentCore::AgentCore(AgentSetup setup, const Clock& clock)
    : setup_(std::move(setup)),
      clock_(clock),
      folder_(setup_.options.state),
      started_wall_(clock.Wall()),
      boot_(EventIdGenerator(clock, std::random_device{}()).Next().text()),
      pacer_(setup_.options.metrics_interval) {}

AgentCore::~AgentCore() {
  Stop();
  mqtt_.reset();
  snapshots_.reset();
  probe_.reset();
  fetcher_.reset();  // they all wake the loop
  if (wake_ >= 0) close(wake_);
  if (lock_ >= 0) close(lock_);
}

Status AgentCore::MakeFolders() {
  for (const char* name : {"", "/services", "/packages", "/images", "/run"}) {
    std::error_code error;
    fs::create_directories(folder_ + name, error);
    if (!error) fs::permissions(folder_ + name, fs::perms::owner_all, error);
    if (error) {
      return PermissionDeniedError("cannot use the state folder " + folder_ + name + ": " +
                                   error.message());
    }
  }
  lock_ = open((folder_ + "/agent.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0) return ErrnoError(errno, "cannot use the state folder " + folder_);
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    return FailedPreconditionError("another agent uses the state folder " + folder_ +
                                   "; give each its own with --state");
  }
  return OkStatus();
}

Status AgentCore::OpenStore() {
  DatabaseOptions options;
  options.on_damage = DatabaseOptions::OnDamage::kKeepAside;
  const std::string_view migrations[] = {kOutboxSchema};
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(database_,
                                   Database::Open(folder_ + "/agent.db", migrations, options));
  OutboxOptions cap;
  cap.max_bytes = static_cast<std::uint64_t>(setup_.options.outbox_bytes);
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(outbox_, Outbox::Open(database_.get(), cap));
  sender_ =
      std::make_unique<OutboxSender>(outbox_.get(), clock_, [this](const v1::EventBatch& batch) {
        return mqtt_ != nullptr && mqtt_
                                       ->Publish(TopicName(setup_.identity.site,
                                                           setup_.identity.name, TopicKind::kEvent),
                                                 batch.SerializeAsString(), 0, false)
                                       .ok();
      });
  return OkStatus();
}

void AgentCore::LearnFacts() {
  facts_ = ReadFacts("");
  // What takes a moment to find out is, until then, as it was: a device that comes back without its
  // engines would lose what it runs, and get it again a moment later.
  v1::Facts before;
  if (before.ParseFromString(ReadFile(folder_ + "/found.pb", kMaxFound).value_or(""))) {
    *facts_.mutable_engines() = before.engines();
    facts_.set_containers(before.containers());
  }
  for (const auto& [name, uri] : setup_.options.cameras) {
    facts_.add_cameras(name);
    limits_.cameras.push_back(name);
  }
  limits_.allow_volumes = setup_.options.allow_volumes;
  if (limits_.allow_volumes.empty()) limits_.allow_volumes = {"/var/edge-models"};
  limits_.allow_volumes.push_back(folder_);
  limits_.container_network = setup_.options.container_network;
  limits_.containers = true;  // until the probe says otherwise; they wait for it
  facts_.set_disk_free_bytes(DiskFreeBytes(folder_));
}

void AgentCore::LoadDesired() {
  const std::string bytes = ReadFile(folder_ + "/desired.pb", kMaxDesired).value_or("");
  if (bytes.empty() || !desired_.ParseFromString(bytes)) {
    desired_.Clear();
    return;
  }
  reconciler_->SetDesired(desired_, clock_.Monotonic());
}

void AgentCore::TakeProbe() {
  std::optional<ProbeResult> found = probe_->Take();
  if (!found) return;
  limits_.containers = found->runtime.has_value();
  limits_.why_no_containers = found->why_no_runtime;
  if (!limits_.containers) {
    log::Info("agent", "containers cannot run here", {{"reason", found->why_no_runtime}});
  }
  v1::Facts now;
  for (std::string& engine : found->engines) now.add_engines(std::move(engine));
  now.set_containers(limits_.containers);
  *facts_.mutable_engines() = now.engines();
  facts_.set_containers(now.containers());
  // Where it cannot be kept, the next start finds it out anew.
  (void)WriteFileAtomically(folder_ + "/found.pb", now.SerializeAsString());
  host_->SetRuntime(std::move(found->runtime), std::move(found->why_no_runtime));
  reconciler_->CheckAgain();
  stirred_ = true;
  if (connected_) Publish(TopicKind::kBirth, MakeBirth(true).SerializeAsString(), true);
}

Status AgentCore::Start() {
  SELVEDGE_RETURN_IF_ERROR(MakeFolders());
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) return ErrnoError(errno, "cannot make an eventfd");
  SELVEDGE_RETURN_IF_ERROR(OpenStore());
  LearnFacts();

  SELVEDGE_RETURN_IF_ERROR(OpenServices());
  SELVEDGE_RETURN_IF_ERROR(StartMqtt());
  snapshots_ = std::make_unique<SnapshotTaker>([this] { Wake(); });
  probe_ = std::make_unique<DeviceProbe>(setup_.options.run_program, folder_, [this] { Wake(); });
  thread_ = std::thread([this] { Run(); });
  return OkStatus();
}

// What keeps services running, and what runs already.
Status AgentCore::OpenServices() {
  ServiceHost::Context context;
  context.options = setup_.options;
  context.device = setup_.identity.name;
  context.socket = folder_ + "/run/agent.sock";
  context.allow_volumes = limits_.allow_volumes;
  context.folder_of = [this](const v1::ServiceSpec& spec) { return fetcher_->FolderOf(spec); };
  host_ = std::make_unique<ServiceHost>(std::move(context));

  FetcherOptions fetch;
  fetch.folder = folder_;
  fetch.identity = setup_.identity;
  fetch.proxy = setup_.options.proxy;
  fetch.arch = facts_.arch();
  fetch.keep_free_bytes = setup_.options.keep_free_bytes;
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(fetcher_, Fetcher::Start(std::move(fetch), [this] { Wake(); }));

  ReconcileOptions reconcile;
  reconcile.random = RandomShare;
  reconcile.check = [this](const v1::ServiceSpec& spec) {
    return CheckSpecAmong(spec, desired_, limits_);
  };
  reconciler_ = std::make_unique<Reconciler>(std::move(reconcile));

  LinkServer::Handler handler;
  handler.known = [this](const ServiceKey& key) { return reconciler_->Running(key) != nullptr; };
  handler.metrics = [this](const ServiceKey& key, const v1::PipelineMetrics& metrics) {
    reconciler_->Heard(key, &metrics, clock_.Monotonic());
    stirred_ = true;
  };
  handler.events = [this](const std::vector<OutboxRecord>& records) { return TakeEvents(records); };
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(
      links_,
      LinkServer::Open(folder_ + "/run/agent.sock", setup_.identity.name, std::move(handler)));
  for (const v1::ServiceSpec& spec : host_->Adopt()) {
    reconciler_->Adopted(spec, clock_.Monotonic());
  }
  LoadDesired();
  return OkStatus();
}

Status AgentCore::StartMqtt() {
  MqttOptions options;
  options.uris =
      setup_.options.broker.empty() ? setup_.identity.mqtt : std::vector{setup_.options.broker};
  options.client_id = setup_.identity.name;
  options.ca_file = setup_.identity.ca_file;
  options.certificate_file = setup_.identity.certificate_file;
  options.key_file = setup_.identity.key_file;
  options.proxy = setup_.options.proxy;
  MqttMessage will;
  will.topic = TopicName(setup_.identity.site, setup_.identity.name, TopicKind::kBirth);
  will.payload = MakeBirth(false).SerializeAsString();
  will.qos = 1;
  will.retained = true;
  options.will = std::move(will);
  MqttCallbacks callbacks;
  callbacks.connected = [this] { Push({Input::Kind::kConnected, {}}); };
  callbacks.lost = [this](const Status& reason, bool was_connected) {
    if (was_connected) {
      log::Warning("agent", "the connection to the broker is lost", {{"reason", reason.message()}});
      Push({Input::Kind::kLost, {}});
    }
  };
  callbacks.message = [this](MqttMessage message) {
    Push({Input::Kind::kMessage, std::move(message)});
  };
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(mqtt_,
                                   MqttClient::Start(std::move(options), std::move(callbacks)));
  for (const TopicKind kind : {TopicKind::kDesired, TopicKind::kAck, TopicKind::kCommand}) {
    SELVEDGE_RETURN_IF_ERROR(
        mqtt_->Subscribe(TopicName(setup_.identity.site, setup_.identity.name, kind),
                         kind == TopicKind::kAck ? 0 : 1));
  }
  return OkStatus();
}

void AgentCore::Push(Input input) {
  {
    const std::lock_guard lock(mutex_);
    // More than that is a broker gone mad. Whatever is left out comes again: a document with the
    // next connection, an Ack with the next batch; who asked for something asks again.
    if (input.kind == Input::Kind::kMessage && inputs_.size() >= kMaxInputs) return;
    inputs_.push_back(std::move(input));
  }
  Wake();
}

void AgentCore::Wake() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(wake_, &one, sizeof(one));
}

int AgentCore::PollTimeout(Nanos now) const {
  Nanos next = now + kLongestWait;
  const auto consider = [&next](const std::optional<Nanos>& time) {
    if (time) next = std::min(next, *time);
  };
  consider(reconciler_->NextTime());
  consider(host_->NextTime());
  if (connected_) {
    consider(sender_->NextTime());
    const Nanos look = looked_ + kLookInterval;
    consider(stirred_ ? look : std::max(pacer_.NextTime(now), look));
  }
  if (!pending_desired_.empty()) consider(retry_desired_);
  return static_cast<int>(std::max<Nanos>(0, next - now) / kMillisecond) + 1;
}

void AgentCore::WaitForWork(Nanos now) {
  std::vector<pollfd> waits = {{wake_, POLLIN, 0}, {links_->descriptor(), POLLIN, 0}};
  for (const int descriptor : host_->Descriptors()) waits.push_back({descriptor, POLLIN, 0});
  poll(waits.data(), waits.size(), PollTimeout(now));
  std::uint64_t ignored = 0;
  [[maybe_unused]] const auto got = read(wake_, &ignored, sizeof(ignored));
}

void AgentCore::Turn(Nanos now) {
  TakeInputs();
  TakeProbe();
  TakeFetches(now);
  TakeSnapshots();
  if (!pending_desired_.empty() && now >= retry_desired_) TakeUpDesired(now);
  links_->Receive();
  for (const ServiceHost::Ended& ended : host_->Reap(now)) {
    log::Info("agent", "service ended", {{"service", ended.key.ToString()}, {"how", ended.how}});
    reconciler_->Ended(ended.key, ended.how, now);
    stirred_ = true;
  }
  for (const Action& action : reconciler_->Step(now)) {
    Act(action, now);
    stirred_ = true;
  }
  if (connected_) NoteTrouble(Part::kSending, sender_->Pump());
  if (connected_ && (now - looked_ >= kLookInterval || looked_ == 0) &&
      (stirred_ || now >= pacer_.NextTime(now))) {
    looked_ = now;
    stirred_ = false;
    SendState(now);
  }
  Tidy(now);
}

void AgentCore::Run() {
  while (!stop_) {
    WaitForWork(clock_.Monotonic());
    Turn(clock_.Monotonic());
  }
  reconciler_->ShutDown();
  const Nanos until = clock_.Monotonic() + kShutDownLimit;
  Turn(clock_.Monotonic());
  while (reconciler_->AnythingRuns() && clock_.Monotonic() < until) {
    WaitForWork(clock_.Monotonic());
    Turn(clock_.Monotonic());
  }
  if (connected_) {
    Publish(TopicKind::kBirth, MakeBirth(false).SerializeAsString(), true);
  }
}

void AgentCore::Stop() {
  if (!thread_.joinable()) return;
  stop_ = true;
  Wake();
  thread_.join();
  mqtt_->Stop();
}

void AgentCore::Tidy(Nanos now) {
  if (tidied_ == 0) tidied_ = now - kTidyInterval + kFirstTidy;
  if (now - tidied_ < kTidyInterval) return;
  tidied_ = now;
  host_->TrimLogs();
  (void)TrimLog(folder_ + "/agent.log", setup_.options.log_bytes);
  const std::uint64_t free = DiskFreeBytes(folder_);
  NoteTrouble(Part::kDisk, free < kLowDisk ? ResourceExhaustedError(
                                                 "the disk of the state folder is almost full: " +
                                                 std::to_string(free >> 20) + " MiB are left")
                                           : OkStatus());
  fetcher_->Keep(reconciler_->Needed());
  GiveBackUnusedMemory();
}

Agent::Agent(std::unique_ptr<AgentCore> core) : core_(std::move(core)) {}

Agent::~Agent() {
  Stop();
}

void Agent::Stop() {
  core_->Stop();
}

Result<std::unique_ptr<Agent>> Agent::Start(AgentSetup setup, const Clock& clock) {
  auto core = std::make_unique<AgentCore>(std::move(setup), clock);
  SELVEDGE_RETURN_ERR_IF_ERROR(core->Start());
  return std::unique_ptr<Agent>(new Agent(std::move(core)));
}

}  // namespace selvedge
