#include "device/agent/agent.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <random>
#include <utility>

#include "base/child_process.h"
#include "base/file.h"
#include "base/log.h"
#include "core/event_id.h"
#include "device/agent/agent_core.h"
#include "device/agent/facts.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;

constexpr Nanos kLongestWait = 5 * kSecond;
constexpr Nanos kTidyInterval = 30 * kSecond;
constexpr Nanos kShutDownLimit = 25 * kSecond;
constexpr std::size_t kMaxDesired = std::size_t{4} << 20;

double RandomShare() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return std::uniform_real_distribution<double>(0, 1)(engine);
}

// What the engines' own executable says about them; nothing where it cannot.
std::vector<std::string> AskForEngines(const std::string& program, const std::string& folder) {
  const std::string file = folder + "/engines.json";
  std::error_code error;
  fs::remove(file, error);
  ChildOptions child;
  child.program = program;
  child.arguments = {"--engines", "--json", "--log-level", "off"};
  child.output_file = file;
  auto process = ChildProcess::Start(child);
  if (!process || process->Wait(20 * kSecond) != 0) return {};
  return ParseEngines(ReadFile(file, 64 * 1024).value_or(""));
}

}  // namespace

AgentCore::AgentCore(AgentSetup setup, const Clock& clock)
    : setup_(std::move(setup)),
      clock_(clock),
      folder_(setup_.options.state),
      boot_(EventIdGenerator(clock, std::random_device{}()).Next().text()),
      pacer_(setup_.options.metrics_interval) {}

AgentCore::~AgentCore() {
  Stop();
  if (wake_ >= 0) close(wake_);
}

Status AgentCore::MakeFolders() const {
  for (const char* name : {"", "/services", "/packages", "/images", "/run"}) {
    std::error_code error;
    fs::create_directories(folder_ + name, error);
    if (!error) fs::permissions(folder_ + name, fs::perms::owner_all, error);
    if (error) {
      return PermissionDeniedError("cannot use the state folder " + folder_ + name + ": " +
                                   error.message());
    }
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
  for (std::string& engine : AskForEngines(setup_.options.run_program, folder_)) {
    facts_.add_engines(std::move(engine));
  }
  for (const auto& [name, uri] : setup_.options.cameras) {
    facts_.add_cameras(name);
    limits_.cameras.push_back(name);
  }
  limits_.allow_volumes = setup_.options.allow_volumes;
  if (limits_.allow_volumes.empty()) limits_.allow_volumes = {"/var/edge-models"};
  limits_.allow_volumes.push_back(folder_);
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

Status AgentCore::Start() {
  SELVEDGE_RETURN_IF_ERROR(MakeFolders());
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) return ErrnoError(errno, "cannot make an eventfd");
  SELVEDGE_RETURN_IF_ERROR(OpenStore());
  LearnFacts();

  ServiceHost::Context context;
  context.options = setup_.options;
  context.device = setup_.identity.name;
  context.socket = folder_ + "/run/agent.sock";
  context.folder_of = [this](const v1::ServiceSpec& spec) { return fetcher_->FolderOf(spec); };
  if (auto runtime = FindContainerRuntime()) {
    const Status works =
        TryContainerRuntime(*runtime, folder_ + "/runc", folder_ + "/run/try-container");
    if (works.ok()) {
      context.runtime = *std::move(runtime);
    } else {
      log::Info("agent", "containers cannot run here", {{"reason", works.message()}});
    }
  }
  limits_.containers = context.runtime.has_value();
  facts_.set_containers(limits_.containers);
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
  };
  handler.events = [this](const std::vector<OutboxRecord>& records) { return TakeEvents(records); };
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(
      links_,
      LinkServer::Open(folder_ + "/run/agent.sock", setup_.identity.name, std::move(handler)));
  for (const v1::ServiceSpec& spec : host_->Adopt()) {
    reconciler_->Adopted(spec, clock_.Monotonic());
  }
  LoadDesired();
  SELVEDGE_RETURN_IF_ERROR(StartMqtt());
  thread_ = std::thread([this] { Run(); });
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
    consider(pacer_.NextTime(now));
  }
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
  TakeFetches(now);
  links_->Receive();
  for (const ServiceHost::Ended& ended : host_->Reap(now)) {
    log::Info("agent", "service ended", {{"service", ended.key.ToString()}, {"how", ended.how}});
    reconciler_->Ended(ended.key, ended.how, now);
  }
  for (const Action& action : reconciler_->Step(now)) Act(action, now);
  if (connected_) NoteTrouble(sender_->Pump());
  SendState(now);
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
  if (tidied_ != 0 && now - tidied_ < kTidyInterval) return;
  tidied_ = now;
  host_->TrimLogs();
  fetcher_->Keep(reconciler_->Needed());
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
