// What an agent hears and says.

#include <algorithm>
#include <utility>

#include "base/cpu.h"
#include "base/file.h"
#include "base/log.h"
#include "device/agent/agent_core.h"
#include "device/agent/facts.h"
#include "device/agent/service_log.h"

namespace selvedge {
namespace {

constexpr int kDefaultLines = 200;
constexpr int kMaxLines = 10'000;
constexpr Nanos kRetryDesired = 10 * kSecond;
constexpr std::size_t kMaxLogAnswer = std::size_t{512} * 1024;

}  // namespace

void AgentCore::Publish(TopicKind kind, std::string payload, bool retain) {
  const Status status = mqtt_->Publish(TopicName(setup_.identity.site, setup_.identity.name, kind),
                                       std::move(payload), 1, retain);
  if (!status.ok()) {
    log::Debug("agent", "not published",
               {{"kind", TopicKindName(kind)}, {"reason", status.message()}});
  }
}

v1::Birth AgentCore::MakeBirth(bool online) const {
  v1::Birth birth;
  birth.set_device(setup_.identity.name);
  birth.set_boot_id(boot_);
  birth.set_online(online);
  birth.set_version(setup_.version);
  birth.set_started_unix_ns(started_wall_);
  birth.set_role(v1::DEVICE);
  if (online) *birth.mutable_facts() = facts_;
  for (const auto& [key, value] : setup_.options.labels) (*birth.mutable_labels())[key] = value;
  return birth;
}

void AgentCore::TakeInputs() {
  std::vector<Input> inputs;
  {
    const std::lock_guard lock(mutex_);
    inputs.swap(inputs_);
  }
  for (const Input& input : inputs) {
    switch (input.kind) {
      case Input::Kind::kConnected: OnConnected(); break;
      case Input::Kind::kLost:
        connected_ = false;
        sender_->Disconnected();
        break;
      case Input::Kind::kMessage: OnMessage(input.message); break;
    }
  }
}

void AgentCore::OnConnected() {
  connected_ = true;
  log::Info("agent", "connected to the broker");
  facts_.set_disk_free_bytes(DiskFreeBytes(folder_));
  Publish(TopicKind::kBirth, MakeBirth(true).SerializeAsString(), true);
  pacer_.Forget();
  stirred_ = true;
  sender_->Connected();
}

void AgentCore::OnMessage(const MqttMessage& message) {
  const std::optional<Topic> topic = ParseTopic(message.topic);
  if (!topic || topic->node != setup_.identity.name) return;
  if (topic->kind == TopicKind::kDesired) {
    OnDesired(message.payload);
  } else if (topic->kind == TopicKind::kCommand) {
    OnCommand(message.payload);
  } else if (topic->kind == TopicKind::kAck) {
    v1::Ack ack;
    if (ack.ParseFromString(message.payload)) NoteTrouble(Part::kSending, sender_->OnAck(ack));
  }
}

void AgentCore::OnDesired(const std::string& payload) {
  v1::Desired desired;
  if (!desired.ParseFromString(payload) || desired.device() != setup_.identity.name) {
    log::Warning("agent",
                 "a desired document that cannot be read, or is another device's, is ignored");
    return;
  }
  // Also of one that still waits to be written down.
  if (desired.generation() <= std::max(desired_.generation(), pending_generation_)) return;
  if (desired.services_size() > kMaxServices) {
    NoteTrouble(Part::kDesired, ResourceExhaustedError("the desired document names more than " +
                                                       std::to_string(kMaxServices) +
                                                       " microservices; it is ignored"));
    return;
  }
  pending_desired_ = payload;
  pending_generation_ = desired.generation();
  TakeUpDesired(clock_.Monotonic());
}

// Written down before it is acted on: a restart with no network must not go back to the one before.
void AgentCore::TakeUpDesired(Nanos now) {
  const Status kept = WriteFileAtomically(folder_ + "/desired.pb", pending_desired_);
  NoteTrouble(Part::kDesired, kept.WithContext("what is desired cannot be written down"));
  if (!kept.ok()) {
    retry_desired_ = now + kRetryDesired;
    return;
  }
  desired_.ParseFromString(std::exchange(pending_desired_, {}));
  log::Info("agent", "what is desired has changed",
            {{"generation", desired_.generation()}, {"services", desired_.services_size()}});
  reconciler_->SetDesired(desired_, now);
  stirred_ = true;
}

std::string AgentCore::Logs(const v1::LogsRequest& request) const {
  const int lines = request.lines() == 0
                        ? kDefaultLines
                        : static_cast<int>(std::min<std::uint32_t>(request.lines(), kMaxLines));
  if (request.service().empty()) return TailOfLog(folder_ + "/agent.log", lines, kMaxLogAnswer);
  return TailOfLog(host_->LogOf({request.application(), request.service()}), lines, kMaxLogAnswer);
}

void AgentCore::OnCommand(const std::string& payload) {
  v1::Command command;
  if (!command.ParseFromString(payload) || command.id().empty()) return;
  std::optional<v1::CommandResult> result = Obey(command);
  if (!result) return;
  result->set_id(command.id());
  Publish(TopicKind::kResult, result->SerializeAsString(), false);
}

std::optional<v1::CommandResult> AgentCore::Obey(const v1::Command& command) {
  v1::CommandResult result;
  Status status;
  if (command.has_logs()) {
    result.set_text(Logs(command.logs()));
  } else if (command.has_restart()) {
    status = reconciler_->Restart({command.restart().application(), command.restart().service()});
  } else if (command.has_snapshot()) {
    status = AskForSnapshot(command.id(),
                            {command.snapshot().application(), command.snapshot().service()});
    if (status.ok()) return std::nullopt;
  } else {
    status = UnimplementedError("this version of the agent does not know the command");
  }
  result.set_error(status.message());
  return result;
}

Status AgentCore::AskForSnapshot(const std::string& id, const ServiceKey& key) {
  const v1::ServiceSpec* running = reconciler_->Running(key);
  if (running == nullptr) {
    return NotFoundError(key.ToString() + " does not run on this device");
  }
  if (running->kind() == v1::CONTAINER) {
    return FailedPreconditionError(key.ToString() +
                                   " is a container; only pipelines give pictures");
  }
  // The pipeline's own word, by its link: nothing else says what may leave the device.
  if (const std::string privacy = links_->PrivacyOf(key); privacy != "frames") {
    return PermissionDeniedError("the privacy policy of " + key.ToString() + " is " + privacy +
                                 ": pictures stay on the device");
  }
  const v1::PipelineMetrics* metrics = reconciler_->MetricsOf(key);
  if (metrics == nullptr || metrics->http_port() == 0 || metrics->http_port() > 65535) {
    return UnavailableError(key.ToString() + " does not serve pictures yet");
  }
  snapshots_->Ask(id, static_cast<int>(metrics->http_port()));
  return OkStatus();
}

void AgentCore::TakeSnapshots() {
  for (const v1::CommandResult& result : snapshots_->Take()) {
    Publish(TopicKind::kResult, result.SerializeAsString(), false);
  }
}

void AgentCore::TakeFetches(Nanos now) {
  for (const Fetcher::Update& update : fetcher_->Take()) {
    stirred_ = true;
    if (!update.done) {
      reconciler_->FetchProgress(update.content, update.progress);
    } else if (update.status.ok()) {
      reconciler_->ContentReady(update.content);
    } else {
      log::Warning("agent", "not downloaded", {{"reason", update.status.message()}});
      reconciler_->FetchFailed(update.content, update.status, now);
    }
  }
}

void AgentCore::Act(const Action& action, Nanos now) {
  switch (action.kind) {
    case Action::Kind::kFetch:
      if (fetcher_->Has(action.spec)) {
        reconciler_->ContentReady(ContentKeyOf(action.spec));
        Wake();
      } else {
        fetcher_->Fetch(action.spec, desired_.registry().empty() ? setup_.identity.registry
                                                                 : desired_.registry());
      }
      break;
    case Action::Kind::kStart: {
      const Status status = host_->Start(action.spec);
      if (status.ok()) {
        reconciler_->Started(action.service, now);
      } else if (status.code() == StatusCode::kUnavailable) {
        reconciler_->Deferred(action.service, status.message(), now);
      } else if (status.code() == StatusCode::kFailedPrecondition ||
                 status.code() == StatusCode::kInvalidArgument) {
        reconciler_->StartRefused(action.service, status);
      } else {
        reconciler_->StartFailed(action.service, status, now);
      }
      break;
    }
    case Action::Kind::kStop: host_->Stop(action.service, now); break;
    case Action::Kind::kForget: host_->Forget(action.service); break;
  }
}

Status AgentCore::TakeEvents(const std::vector<OutboxRecord>& records) {
  const auto appended = outbox_->Append(records);
  NoteTrouble(Part::kOutbox, appended ? OkStatus() : appended.error());
  return appended ? OkStatus() : appended.error();
}

void AgentCore::NoteTrouble(Part part, const Status& status) {
  std::string& trouble = trouble_[static_cast<std::size_t>(part)];
  if (trouble == status.message()) return;
  stirred_ = true;
  trouble = status.message();
  if (!trouble.empty()) {
    log::Warning("agent", "something is wrong; it is tried again", {{"reason", trouble}});
  }
}

std::string AgentCore::Trouble() const {
  std::string all;
  for (const std::string& trouble : trouble_) {
    if (!trouble.empty()) all += (all.empty() ? "" : "; ") + trouble;
  }
  return all;
}

void AgentCore::SendState(Nanos now) {
  v1::State state;
  state.set_device(setup_.identity.name);
  state.set_boot_id(boot_);
  state.set_generation(desired_.generation());
  for (v1::ServiceStatus& service : reconciler_->Report(clock_.Wall())) {
    *state.add_services() = std::move(service);
  }
  state.set_trouble(Trouble());
  if (!pacer_.Due(state, now)) return;
  if (const auto view = outbox_->View()) *state.mutable_outbox() = view->counters.ToProto();
  state.set_sequence(static_cast<std::uint64_t>(now));
  state.set_time_unix_ns(clock_.Wall());
  state.set_rss_bytes(static_cast<std::uint64_t>(ResidentBytes()));
  state.set_disk_free_bytes(DiskFreeBytes(folder_));
  state.set_temperature_celsius(HottestCelsius(""));
  Publish(TopicKind::kState, state.SerializeAsString(), true);
}

}  // namespace selvedge
