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
  birth.set_started_unix_ns(clock_.Wall());
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
    if (ack.ParseFromString(message.payload)) NoteTrouble(sender_->OnAck(ack));
  }
}

void AgentCore::OnDesired(const std::string& payload) {
  v1::Desired desired;
  if (!desired.ParseFromString(payload) || desired.device() != setup_.identity.name) {
    log::Warning("agent",
                 "a desired document that cannot be read, or is another device's, is ignored");
    return;
  }
  if (desired.services_size() > kMaxServices) {
    trouble_ = "the desired document names more than " + std::to_string(kMaxServices) +
               " services; it is ignored";
    return;
  }
  if (desired.generation() <= desired_.generation()) return;
  if (const Status kept = WriteFileAtomically(folder_ + "/desired.pb", payload); !kept.ok()) {
    // Not taken up: after a restart with no network the device would go back to the old one.
    NoteTrouble(kept);
    return;
  }
  log::Info("agent", "what is desired has changed",
            {{"generation", desired.generation()}, {"services", desired.services_size()}});
  desired_ = std::move(desired);
  reconciler_->SetDesired(desired_, clock_.Monotonic());
}

std::string AgentCore::Logs(const v1::LogsRequest& request) const {
  const int lines = request.lines() == 0
                        ? kDefaultLines
                        : static_cast<int>(std::min<std::uint32_t>(request.lines(), kMaxLines));
  if (request.service().empty()) {
    return "The agent writes to its standard error: see the log of what started it, for instance "
           "journalctl -u selvedge-agent\n";
  }
  return TailOfLog(host_->LogOf({request.application(), request.service()}), lines, kMaxLogAnswer);
}

void AgentCore::OnCommand(const std::string& payload) {
  v1::Command command;
  if (!command.ParseFromString(payload) || command.id().empty()) return;
  v1::CommandResult result;
  result.set_id(command.id());
  if (command.has_logs()) {
    result.set_text(Logs(command.logs()));
  } else if (command.has_restart()) {
    const Status status =
        reconciler_->Restart({command.restart().application(), command.restart().service()});
    if (!status.ok()) result.set_error(status.message());
  } else if (command.has_snapshot()) {
    const ServiceKey key{command.snapshot().application(), command.snapshot().service()};
    result.set_error(links_->PrivacyOf(key) == "frames"
                         ? "this version of the agent takes no snapshots"
                         : "the pipeline's privacy policy keeps pictures on the device");
  } else {
    result.set_error("this version of the agent does not know the command");
  }
  Publish(TopicKind::kResult, result.SerializeAsString(), false);
}

void AgentCore::TakeFetches(Nanos now) {
  for (const Fetcher::Update& update : fetcher_->Take()) {
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
  NoteTrouble(appended ? OkStatus() : appended.error());
  return appended ? OkStatus() : appended.error();
}

void AgentCore::NoteTrouble(const Status& status) {
  if (status.ok()) {
    trouble_.clear();
    return;
  }
  if (trouble_ == status.message()) return;
  trouble_ = status.message();
  log::Warning("agent", "something is wrong; it is tried again", {{"reason", trouble_}});
}

void AgentCore::SendState(Nanos now) {
  if (!connected_) return;
  v1::State state;
  state.set_device(setup_.identity.name);
  state.set_boot_id(boot_);
  state.set_generation(desired_.generation());
  for (v1::ServiceStatus& service : reconciler_->Report(clock_.Wall())) {
    *state.add_services() = std::move(service);
  }
  state.set_trouble(trouble_);
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
