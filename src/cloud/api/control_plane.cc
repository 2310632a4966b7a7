#include "cloud/api/control_plane.h"

#include <fmt/format.h>

#include <utility>

#include "base/log.h"
#include "cloud/api/overview.h"
#include "cloud/api/views.h"
#include "core/topic.h"

namespace selvedge {
namespace {

constexpr Nanos kSaveInterval = 10 * kSecond;
constexpr Nanos kTidyInterval = 60 * kSecond;
// Rates fall back to 0 in the ten seconds after the last change.
constexpr Nanos kOverviewAfter = 12 * kSecond;

// A device behind a gateway is a client of the gateway's broker, not of ours; it may use ours too,
// as long as nobody told it of another.
std::vector<CloudBrokerNode> MembersOf(const Fleet& fleet) {
  std::vector<CloudBrokerNode> members;
  for (const auto& [name, node] : fleet.nodes()) {
    members.push_back({node.site, name, node.role == v1::GATEWAY});
  }
  return members;
}

}  // namespace

ControlPlane::ControlPlane(ControlPlaneOptions options, Packages* packages, const Clock& clock)
    : options_(std::move(options)),
      packages_(packages),
      clock_(clock),
      fleet_(options_.fleet, clock) {
  outputs_.publish = [](const std::string&, const std::string&, int, bool) {
    return UnavailableError("there is no connection to the broker yet");
  };
  outputs_.members_changed = [](const std::vector<CloudBrokerNode>&) {};
  outputs_.traffic = [] { return std::pair<std::uint64_t, std::uint64_t>(); };
}

ControlPlane::~ControlPlane() {
  hub_.CloseAll();
  const std::lock_guard lock(mutex_);
  SaveHeard();
}

Result<std::unique_ptr<ControlPlane>> ControlPlane::Open(ControlPlaneOptions options,
                                                         Packages* packages, const Clock& clock) {
  std::unique_ptr<ControlPlane> plane(new ControlPlane(std::move(options), packages, clock));
  SELVEDGE_RETURN_ERR_IF_ERROR(plane->Load());
  return plane;
}

Status ControlPlane::Load() {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(tables_, FleetTables::Open(options_.folder + "/fleet.db"));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(
      events_, EventTables::Open(options_.folder + "/events.db", options_.events, clock_));
  joining_ =
      std::make_unique<Joining>(tables_.get(), options_.authority, options_.own_hosts, clock_);
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(auto nodes, tables_->LoadNodes());
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(auto applications, tables_->LoadApplications());
  const std::lock_guard lock(mutex_);
  Execute(fleet_.Restore(std::move(nodes), std::move(applications)));
  return OkStatus();
}

void ControlPlane::SetOutputs(ControlPlaneOutputs outputs) {
  const std::lock_guard lock(mutex_);
  outputs_ = std::move(outputs);
}

void ControlPlane::SetAddresses(PublicAddresses addresses) {
  const std::lock_guard lock(mutex_);
  addresses_ = std::move(addresses);
  Execute(fleet_.SetRegistry(addresses_.registry));
}

std::vector<CloudBrokerNode> ControlPlane::Members() const {
  const std::lock_guard lock(mutex_);
  return MembersOf(fleet_);
}

void ControlPlane::MembersChanged() {
  outputs_.members_changed(MembersOf(fleet_));
}

PublicAddresses ControlPlane::addresses() const {
  const std::lock_guard lock(mutex_);
  return addresses_;
}

// ---- what a change leads to --------------------------------------------------------------------

void ControlPlane::NoteDisk(const Status& status) {
  if (status.ok()) {
    if (!disk_trouble_.empty()) log::Info("cloud", "the disk takes writes again");
    disk_trouble_.clear();
    return;
  }
  if (disk_trouble_.empty()) {
    log::Error("cloud", "cannot write to the state folder", {{"reason", status.message()}});
  }
  disk_trouble_ = status.message();
}

void ControlPlane::Execute(FleetChange change) {
  if (change.empty()) return;
  something_changed_ = true;
  dirty_.insert(change.dirty.begin(), change.dirty.end());
  // What a document was computed from is on disk before it: else a restart would forget a device's
  // facts, and with them what is desired of it.
  if (!change.desired.empty()) SaveHeard();
  PublishDesired(change.desired);
  tell_nodes_.merge(change.nodes);
  tell_applications_.merge(change.applications);
}

// True where all of them are on disk. A generation that was published and forgotten would be given
// again to another document.
bool ControlPlane::KeepDesired(const std::set<std::string>& nodes) {
  std::vector<const NodeRecord*> records;
  for (const std::string& name : nodes) {
    if (const Node* node = fleet_.Find(name); node != nullptr) records.push_back(node);
  }
  if (records.empty()) return true;
  const Status saved = tables_->SaveDesired(records);
  NoteDisk(saved);
  return saved.ok();
}

void ControlPlane::PublishDesired(const std::set<std::string>& nodes) {
  if (!KeepDesired(nodes)) {
    unsaved_.insert(nodes.begin(), nodes.end());
    return;
  }
  for (const std::string& name : nodes) {
    if (const Node* node = fleet_.Find(name); node != nullptr) PublishOne(*node);
  }
}

void ControlPlane::PublishOne(const Node& node) {
  unpublished_.erase(node.name);
  if (!connected_) return;  // OnConnected publishes them all
  const Status status =
      outputs_.publish(TopicName(node.site, node.name, TopicKind::kDesired),
                       node.desired.SerializeAsString(), /*qos=*/1, /*retain=*/true);
  if (!status.ok()) unpublished_.insert(node.name);
}

// A node that was deleted leaves nothing behind on the broker.
void ControlPlane::ClearRetained(const std::string& site, const std::string& name) {
  for (const TopicKind kind : {TopicKind::kDesired, TopicKind::kBirth, TopicKind::kState}) {
    (void)outputs_.publish(TopicName(site, name, kind), {}, 1, true);
  }
}

// ---- the broker --------------------------------------------------------------------------------

void ControlPlane::OnConnected() {
  const std::lock_guard lock(mutex_);
  connected_ = true;
  something_changed_ = true;
  for (const auto& [name, node] : fleet_.nodes()) {
    if (!unsaved_.contains(name)) PublishOne(node);
  }
}

void ControlPlane::OnDisconnected(const Status& reason) {
  const std::lock_guard lock(mutex_);
  if (connected_) log::Warning("cloud", "lost the broker", {{"reason", reason.message()}});
  connected_ = false;
  something_changed_ = true;
}

void ControlPlane::CountMessage(std::uint64_t* counter, std::string_view what,
                                std::string_view node) {
  ++*counter;
  if (clock_.Monotonic() < next_foreign_log_) return;
  next_foreign_log_ = clock_.Monotonic() + 60 * kSecond;
  log::Warning("cloud", what, {{"node", node}, {"so far", *counter}});
}

void ControlPlane::OnMessage(std::string_view topic, std::string_view payload, bool retained) {
  const std::optional<Topic> parsed = ParseTopic(topic);
  if (!parsed || payload.empty()) return;  // empty: what was retained is cleared
  const int size = static_cast<int>(payload.size());
  if (parsed->kind == TopicKind::kEvent) {
    OnEvents(parsed->site, parsed->node, payload);
    return;
  }
  bool ours = true;
  bool good = true;
  if (parsed->kind == TopicKind::kResult) {
    v1::CommandResult result;
    good = result.ParseFromArray(payload.data(), size);
    if (good) OnResult(std::move(result), parsed->node);
  }
  const std::lock_guard lock(mutex_);
  if (parsed->kind == TopicKind::kBirth) {
    v1::Birth birth;
    good = birth.ParseFromArray(payload.data(), size);
    if (good) Execute(fleet_.OnBirth(parsed->site, parsed->node, std::move(birth), &ours));
  } else if (parsed->kind == TopicKind::kState) {
    v1::State state;
    good = state.ParseFromArray(payload.data(), size);
    if (good)
      Execute(fleet_.OnState(parsed->site, parsed->node, std::move(state), retained, &ours));
  }
  if (!good) CountMessage(&bad_messages_, "a message does not parse and is ignored", parsed->node);
  if (!ours) CountMessage(&foreign_messages_, "a message of no member is ignored", parsed->node);
}

void ControlPlane::OnEvents(const std::string& site, const std::string& node,
                            std::string_view payload) {
  v1::EventBatch batch;
  const bool good = batch.ParseFromArray(payload.data(), static_cast<int>(payload.size()));
  std::set<std::string, std::less<>> allowed;
  {
    const std::lock_guard lock(mutex_);
    if (!good) {
      CountMessage(&bad_messages_, "a batch of events does not parse and is ignored", node);
      return;
    }
    const Node* sender = fleet_.Find(node);
    if (sender == nullptr || sender->site != site) {
      CountMessage(&foreign_messages_, "events of no member are ignored", node);
      return;
    }
    allowed.insert(node);
    if (sender->role == v1::GATEWAY) {
      for (const auto& [name, other] : fleet_.nodes()) {
        if (other.site == site) allowed.insert(name);
      }
    }
  }
  // Without the lock: it waits for the disk.
  auto accepted = events_->Accept(site, node, batch, [&](std::string_view device) {
    return allowed.find(device) != allowed.end();
  });
  const std::lock_guard lock(mutex_);
  if (!accepted) {
    if (accepted.error().code() == StatusCode::kInvalidArgument) {
      CountMessage(&bad_messages_, accepted.error().message(), node);
    } else {
      NoteDisk(accepted.error());  // no Ack: the sender keeps them and tries again
    }
    return;
  }
  (void)outputs_.publish(TopicName(site, node, TopicKind::kAck), accepted->ack.SerializeAsString(),
                         0, false);
  if (!accepted->fresh.empty()) NoteDisk(OkStatus());
  TellEvents(accepted->fresh);
}

void ControlPlane::TellEvents(const std::vector<StoredEvent>& events) {
  constexpr double kLateMs = 30'000;  // it waited in an outbox; that is no latency of the way
  const Nanos now = clock_.Monotonic();
  for (const StoredEvent& stored : events) {
    event_rate_.Add(now, 1);
    detection_rate_.Add(now, stored.event.detections_size());
    // By the device's own clock, so put right by how far that is off.
    const Node* node = fleet_.Find(stored.event.device());
    const double offset = node == nullptr ? 0 : static_cast<double>(node->clock_offset_ms);
    const double late = static_cast<double>(stored.received_ms) + offset -
                        ToMillis(stored.event.captured_unix_ns());
    if (late >= 0 && late < kLateMs) event_latency_.Add(now, late);
    if (hub_.size() > 0) hub_.Send(R"({"type":"event","event":)" + EventJson(stored) + "}");
  }
  something_changed_ = something_changed_ || !events.empty();
}

// ---- time --------------------------------------------------------------------------------------

void ControlPlane::TellWatchers() {
  hub_.Tidy();
  std::set<std::string> nodes;
  std::set<std::string> applications;
  std::swap(nodes, tell_nodes_);
  std::swap(applications, tell_applications_);
  if (hub_.size() == 0) return;
  for (const std::string& name : nodes) {
    const Node* node = fleet_.Find(name);
    hub_.Send(node == nullptr ? RemovedMessage(name) : DeviceMessage(*node));
  }
  if (applications.empty()) return;
  const std::vector<ApplicationPlacement> placements = fleet_.Placements();
  for (const std::string& name : applications) {
    hub_.Send(ApplicationMessage(fleet_, name, placements));
  }
}

void ControlPlane::SaveHeard() {
  if (tables_ == nullptr || dirty_.empty()) return;
  std::vector<const NodeRecord*> records;
  for (const std::string& name : dirty_) {
    if (const Node* node = fleet_.Find(name); node != nullptr) records.push_back(node);
  }
  const Status saved = tables_->SaveHeard(records);
  NoteDisk(saved);
  if (saved.ok()) dirty_.clear();
}

void ControlPlane::EverySecond(Nanos now) {
  Execute(fleet_.Tick());
  if (!disk_trouble_.empty()) NoteDisk(tables_->Probe());
  std::set<std::string> again;
  std::swap(again, unsaved_);
  PublishDesired(again);
  again.clear();
  std::swap(again, unpublished_);
  for (const std::string& name : again) {
    if (const Node* node = fleet_.Find(name); node != nullptr) PublishOne(*node);
  }
  const auto [up, down] = outputs_.traffic();
  uplink_.Update(now, up);
  downlink_.Update(now, down);
  if (packages_ != nullptr) registry_.Update(now, packages_->Traffic());
}

void ControlPlane::Tick() {
  const Nanos now = clock_.Monotonic();
  ExpireCommands();
  bool tidy = false;
  bool overview = false;
  {
    const std::lock_guard lock(mutex_);
    const bool second = now >= next_second_;
    if (second) {
      next_second_ = now + kSecond;
      EverySecond(now);
    }
    if (now >= next_save_) {
      next_save_ = now + kSaveInterval;
      SaveHeard();
    }
    TellWatchers();
    if (std::exchange(something_changed_, false)) overview_until_ = now + kOverviewAfter;
    overview = second && now < overview_until_ && hub_.size() > 0;
    tidy = now >= next_tidy_;
    if (tidy) next_tidy_ = now + kTidyInterval;
  }
  if (overview) hub_.Send(OverviewMessage(*this));
  if (!tidy) return;
  const Status status = events_->Tidy();
  if (status.ok()) return;
  const std::lock_guard lock(mutex_);
  NoteDisk(status);
}

// ---- numbers -----------------------------------------------------------------------------------

ControlPlane::Numbers ControlPlane::ReadNumbers() {
  Numbers numbers;
  if (auto totals = events_->Counters(); totals) numbers.totals = *totals;
  numbers.events_file_bytes = events_->FileBytes();
  numbers.watchers = hub_.size();
  const std::lock_guard lock(mutex_);
  const Nanos now = clock_.Monotonic();
  numbers.events_per_s = event_rate_.PerSecond(now);
  numbers.detections_per_s = detection_rate_.PerSecond(now);
  numbers.uplink_bytes_per_s = uplink_.PerSecond(now);
  numbers.downlink_bytes_per_s = downlink_.PerSecond(now);
  numbers.registry_bytes_per_s = registry_.PerSecond(now);
  numbers.registry_bytes = registry_.total();
  numbers.event_p50_ms = event_latency_.Quantile(now, 0.5);
  numbers.event_p99_ms = event_latency_.Quantile(now, 0.99);
  numbers.foreign_messages = foreign_messages_ + events_->foreign();
  numbers.bad_messages = bad_messages_;
  numbers.broker_connected = connected_;
  numbers.disk_trouble = disk_trouble_;
  return numbers;
}

Status ControlPlane::Ready() const {
  const std::lock_guard lock(mutex_);
  if (!disk_trouble_.empty()) return UnavailableError("cannot write: " + disk_trouble_);
  if (!connected_) return UnavailableError("not connected to the broker");
  return OkStatus();
}

}  // namespace selvedge
