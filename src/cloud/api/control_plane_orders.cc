// What people and nodes ask of the control plane: joining, applying, deleting, commands.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "cloud/api/control_plane.h"
#include "core/topic.h"
#include "orchestrate/iofog.h"
#include "trust/token.h"

namespace selvedge {
namespace {

constexpr std::size_t kMaxCommands = 256;

}  // namespace

Result<JoinAnswer> ControlPlane::Join(const JoinRequest& request) {
  const std::lock_guard order(orders_);
  SELVEDGE_ASSIGN_OR_RETURN(JoinAnswer answer, joining_->Join(request));
  const std::lock_guard lock(mutex_);
  // A device that joined again, with the same key, keeps what is known of it.
  NodeRecord record = answer.record;
  if (const Node* before = fleet_.Find(record.name); before != nullptr) {
    record.birth = before->birth;
    record.state = before->state;
    record.last_seen_ms = before->last_seen_ms;
  }
  Execute(fleet_.AddNode(std::move(record)));
  MembersChanged();
  if (answer.mqtt.empty()) answer.mqtt = addresses_.mqtt;
  if (answer.registry.empty()) answer.registry = addresses_.registry;
  log::Info("cloud", "joined",
            {{"name", answer.record.name}, {"site", answer.record.site}, {"role", request.role}});
  return answer;
}

// Tags to digests, so that what was applied is what will run, whatever is pushed afterwards.
Status ControlPlane::ResolveImages(ApplicationRecord* record) const {
  for (const Microservice& service : record->application.microservices) {
    for (const auto& [arch, image] : service.images) {
      ResolvedImage& resolved = record->images[image.text];
      resolved.version = image.tag;
      resolved.digest = image.digest;
      if (!image.host.empty()) continue;  // another registry: the device asks it
      if (packages_ == nullptr) {
        return FailedPreconditionError(fmt::format(
            "{}: {} is to come from the fleet's registry, and this control plane has none",
            record->application.name, image.text));
      }
      auto digest =
          packages_->Resolve(image.repository, image.digest.empty() ? image.tag : image.digest);
      if (!digest) {
        if (digest.error().code() != StatusCode::kNotFound) return digest.error();
        return NotFoundError(
            fmt::format("{}: microservice {}: {} is not in the fleet's registry; push it first "
                        "(selvedge push {}:{})",
                        record->application.name, service.name, image.text, image.repository,
                        image.tag.empty() ? "TAG" : image.tag));
      }
      resolved.digest = *std::move(digest);
    }
  }
  return OkStatus();
}

Result<ControlPlane::Applied> ControlPlane::Apply(std::string_view manifest,
                                                  const std::string& name, bool dry_run) {
  SELVEDGE_ASSIGN_OR_RETURN(auto documents, ParseDeployment(manifest, name));
  const std::lock_guard order(orders_);
  const std::int64_t now_ms = clock_.Wall() / kMillisecond;
  Applied result;
  for (ManifestDocument& document : documents) {
    ApplicationRecord record{.application = std::move(document.application),
                             .manifest = std::move(document.text),
                             .created_ms = now_ms,
                             .applied_ms = now_ms};
    SELVEDGE_RETURN_ERR_IF_ERROR(ResolveImages(&record));
    const std::lock_guard lock(mutex_);
    const auto before = fleet_.applications().find(record.application.name);
    if (before != fleet_.applications().end()) record.created_ms = before->second.created_ms;
    result.records.push_back(std::move(record));
  }
  if (!dry_run) {
    const Status saved = tables_->SaveApplications(result.records);
    const std::lock_guard lock(mutex_);
    if (!saved.ok()) {
      NoteDisk(saved);
      return Err(saved.WithContext("nothing was applied"));
    }
    Execute(fleet_.PutApplications(result.records));
    for (const ApplicationRecord& record : result.records) {
      log::Info("cloud", "applied", {{"application", record.application.name}});
    }
  }
  const std::lock_guard lock(mutex_);
  result.applied = !dry_run;
  result.placements = fleet_.Placements(result.records);
  std::erase_if(result.placements, [&](const ApplicationPlacement& placement) {
    return std::ranges::none_of(result.records, [&](const ApplicationRecord& record) {
      return record.application.name == placement.application;
    });
  });
  return result;
}

Status ControlPlane::DeleteApplication(const std::string& name) {
  const std::lock_guard order(orders_);
  {
    const std::lock_guard lock(mutex_);
    if (!fleet_.applications().contains(name)) {
      return NotFoundError(fmt::format("there is no application {}", name));
    }
  }
  const Status removed = tables_->RemoveApplication(name);
  const std::lock_guard lock(mutex_);
  if (!removed.ok()) {
    NoteDisk(removed);
    return removed.WithContext("it was not deleted");
  }
  Execute(fleet_.RemoveApplication(name));
  log::Info("cloud", "deleted", {{"application", name}});
  return OkStatus();
}

Status ControlPlane::DeleteNode(const std::string& name) {
  const std::lock_guard order(orders_);
  std::string site;
  {
    const std::lock_guard lock(mutex_);
    const Node* node = fleet_.Find(name);
    if (node == nullptr)
      return NotFoundError(fmt::format("there is no device or gateway {}", name));
    site = node->site;
  }
  Status removed = tables_->RemoveNode(name, clock_.Wall() / kMillisecond);
  if (removed.ok()) removed = events_->Forget(name);
  const std::lock_guard lock(mutex_);
  if (!removed.ok()) {
    NoteDisk(removed);
    return removed.WithContext("it was not deleted");
  }
  Execute(fleet_.RemoveNode(name));
  unsaved_.erase(name);
  unpublished_.erase(name);
  dirty_.erase(name);
  ClearRetained(site, name);
  MembersChanged();
  log::Info("cloud", "deleted", {{"node", name}});
  return OkStatus();
}

// ---- commands ----------------------------------------------------------------------------------

void ControlPlane::Command(const std::string& node_name, v1::Command command, Nanos timeout,
                           CommandDone done) {
  Status refused;
  {
    const std::lock_guard lock(mutex_);
    const Node* node = fleet_.Find(node_name);
    auto id = RandomText(12);
    if (node == nullptr) {
      refused = NotFoundError(fmt::format("there is no device {}", node_name));
    } else if (node->status != NodeStatus::kOnline) {
      refused = UnavailableError(fmt::format("{} is {}: {}", node_name,
                                             NodeStatusName(node->status), node->status_reason));
    } else if (!id) {
      refused = id.error();
    } else if (commands_.size() >= kMaxCommands) {
      refused = ResourceExhaustedError("too many commands wait for their answers; try again soon");
    } else {
      command.set_id(*id);
      command.set_deadline_ms(timeout / kMillisecond);
      refused = outputs_.publish(TopicName(node->site, node_name, TopicKind::kCommand),
                                 command.SerializeAsString(), 1, false);
      if (refused.ok()) {
        commands_.emplace(*id, Pending{node_name, clock_.Monotonic() + timeout, std::move(done)});
        return;
      }
    }
  }
  done(Err(std::move(refused)));
}

void ControlPlane::OnResult(v1::CommandResult result, std::string_view node) {
  CommandDone done;
  {
    const std::lock_guard lock(mutex_);
    const auto it = commands_.find(result.id());
    // Late, or of somebody who was not asked.
    if (it == commands_.end() || it->second.node != node) return;
    done = std::move(it->second.done);
    commands_.erase(it);
  }
  done(std::move(result));
}

void ControlPlane::ExpireCommands() {
  std::vector<Pending> expired;
  {
    const std::lock_guard lock(mutex_);
    const Nanos now = clock_.Monotonic();
    for (auto it = commands_.begin(); it != commands_.end();) {
      if (now < it->second.deadline) {
        ++it;
        continue;
      }
      expired.push_back(std::move(it->second));
      it = commands_.erase(it);
    }
  }
  for (Pending& pending : expired) {
    pending.done(
        Err(DeadlineExceededError(fmt::format("{} did not answer in time", pending.node))));
  }
}

}  // namespace selvedge
