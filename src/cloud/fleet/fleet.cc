#include "cloud/fleet/fleet.h"

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace selvedge {
namespace {

using google::protobuf::util::MessageDifferencer;

constexpr int kSignsOfLife = 2;
constexpr std::int64_t kGenerationEpochMs = 1'704'067'200'000;  // 2024, as Unix time

std::int64_t ToMs(Nanos t) {
  return t / kMillisecond;
}

bool SameDocument(const v1::Desired& a, v1::Desired b) {
  b.set_generation(a.generation());
  return MessageDifferencer::Equals(a, b);
}

// What is shown of a state; time and sequence change every time.
bool ShowsTheSame(const v1::State& a, const v1::State& b) {
  v1::State left = a;
  v1::State right = b;
  for (v1::State* state : {&left, &right}) {
    state->clear_sequence();
    state->clear_time_unix_ns();
  }
  return MessageDifferencer::Equals(left, right);
}

bool SaysTheSame(const v1::Birth& a, const v1::Birth& b) {
  return MessageDifferencer::Equals(a.facts(), b.facts()) &&
         a.labels().size() == b.labels().size() &&
         std::ranges::all_of(a.labels(), [&](const auto& label) {
           const auto it = b.labels().find(label.first);
           return it != b.labels().end() && it->second == label.second;
         });
}

PlacementDevice ToPlacementDevice(const Node& node) {
  PlacementDevice device{.name = node.name, .known = node.birth.has_facts()};
  for (const auto& [key, value] : node.birth.labels()) device.labels.emplace(key, value);
  device.facts = FactValues(node.birth.facts(), node.site, node.name);
  return device;
}

void FillService(const Microservice& service, const Image& image, const ResolvedImage& resolved,
                 v1::ServiceSpec* spec) {
  spec->set_name(service.name);
  spec->set_kind(image.kind == ImageKind::kPipeline ? v1::PIPELINE : v1::CONTAINER);
  spec->set_image(image.text);
  spec->set_repository(image.QualifiedRepository());
  spec->set_digest(resolved.digest);
  spec->set_version(resolved.version);
  spec->set_config_json(service.config_json);
  for (const auto& [key, value] : service.env) (*spec->mutable_env())[key] = value;
  v1::Resources* resources = spec->mutable_resources();
  resources->set_gpu(static_cast<std::uint32_t>(service.resources.gpu));
  resources->set_tpu(static_cast<std::uint32_t>(service.resources.tpu));
  resources->set_memory_bytes(static_cast<std::uint64_t>(service.resources.memory_bytes));
  resources->set_cpus(service.resources.cpus);
  for (const ServicePort& port : service.ports) {
    v1::Port* out = spec->add_ports();
    out->set_external(static_cast<std::uint32_t>(port.external));
    out->set_internal(static_cast<std::uint32_t>(port.internal));
  }
  for (const ServiceVolume& volume : service.volumes) {
    v1::Volume* out = spec->add_volumes();
    out->set_host(volume.host);
    out->set_container(volume.container);
    out->set_read_only(volume.read_only);
  }
}

// What the services are, without how they do: the part of a state that applications show.
std::vector<std::string> ServiceStates(const v1::State& state) {
  std::vector<std::string> states;
  for (const v1::ServiceStatus& service : state.services()) {
    states.push_back(fmt::format("{}/{} {} {}", service.application(), service.name(),
                                 static_cast<int>(service.state()), service.message()));
  }
  return states;
}

void AddApplications(const v1::State& state, std::set<std::string>* names) {
  for (const v1::ServiceStatus& service : state.services()) names->insert(service.application());
}

}  // namespace

void FleetChange::Merge(FleetChange other) {
  desired.merge(other.desired);
  nodes.merge(other.nodes);
  applications.merge(other.applications);
  dirty.merge(other.dirty);
}

Fleet::Fleet(FleetOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock) {}

// ---- orders ------------------------------------------------------------------------------------

FleetChange Fleet::Restore(std::vector<NodeRecord> nodes,
                           std::vector<ApplicationRecord> applications) {
  FleetChange change;
  for (ApplicationRecord& record : applications) {
    const std::string name = record.application.name;
    applications_.insert_or_assign(name, std::move(record));
  }
  for (NodeRecord& record : nodes) {
    const std::string name = record.name;
    if (record.role == v1::GATEWAY) gateways_.insert_or_assign(record.site, name);
    nodes_.insert_or_assign(name, Node{std::move(record)});
  }
  change.Merge(Tick());
  return change;
}

FleetChange Fleet::AddNode(NodeRecord record) {
  FleetChange change;
  const std::string name = record.name;
  // What was desired of the node before it joined again is still the newest generation of its name.
  if (const Node* before = Find(name); before != nullptr) record.desired = before->desired;
  Node& node = nodes_.insert_or_assign(name, Node{std::move(record)}).first->second;
  change.nodes.insert(name);
  MembersChanged(node.role, node.site, name, &change);
  Recompute(&node, &change);
  UpdateStatus(&node, &change);
  return change;
}

// A gateway's document lists its devices, and they hang on it.
void Fleet::MembersChanged(v1::Role role, const std::string& site, const std::string& name,
                           FleetChange* change) {
  if (role == v1::GATEWAY) {
    gateways_.erase(site);
    if (nodes_.contains(name)) gateways_.emplace(site, name);
    RecomputeSite(site, change);
    UpdateSiteStatus(site, change);
  } else if (const auto gateway = gateways_.find(site); gateway != gateways_.end()) {
    Recompute(&nodes_.find(gateway->second)->second, change);
  }
}

FleetChange Fleet::RemoveNode(const std::string& name) {
  FleetChange change;
  const auto it = nodes_.find(name);
  if (it == nodes_.end()) return change;
  const std::string site = it->second.site;
  const v1::Role role = it->second.role;
  nodes_.erase(it);
  series_.Forget(name);
  change.nodes.insert(name);
  MembersChanged(role, site, name, &change);
  return change;
}

FleetChange Fleet::PutApplications(std::vector<ApplicationRecord> records) {
  FleetChange change;
  for (ApplicationRecord& record : records) {
    const std::string name = record.application.name;
    change.applications.insert(name);
    applications_.insert_or_assign(name, std::move(record));
  }
  RecomputeAll(&change);
  return change;
}

FleetChange Fleet::RemoveApplication(const std::string& name) {
  FleetChange change;
  if (applications_.erase(name) == 0) return change;
  change.applications.insert(name);
  RecomputeAll(&change);
  return change;
}

FleetChange Fleet::SetRegistry(std::string url) {
  FleetChange change;
  options_.registry_url = std::move(url);
  RecomputeAll(&change);
  return change;
}

// ---- messages ----------------------------------------------------------------------------------

Node* Fleet::Mutable(std::string_view site, std::string_view name) {
  const auto it = nodes_.find(name);
  return it != nodes_.end() && it->second.site == site ? &it->second : nullptr;
}

FleetChange Fleet::OnBirth(std::string_view site, std::string_view name, v1::Birth birth,
                           bool* ours) {
  FleetChange change;
  Node* node = Mutable(site, name);
  *ours = node != nullptr;
  if (node == nullptr) return change;
  if (!node->Supersedes(birth)) return change;
  // A Will was written before some facts were known.
  if (!birth.has_facts() && node->birth.has_facts()) {
    *birth.mutable_facts() = node->birth.facts();
    *birth.mutable_labels() = node->birth.labels();
  }
  const bool same = node->birth.has_facts() == birth.has_facts() && SaysTheSame(node->birth, birth);
  node->birth = std::move(birth);
  node->states_in_a_row = 0;
  if (node->birth.online()) {
    node->heard = clock_.Monotonic();
    node->last_seen_ms = ToMs(clock_.Wall());
  }
  change.nodes.insert(node->name);
  change.dirty.insert(node->name);
  if (!same) Recompute(node, &change);
  UpdateStatus(node, &change);
  // Its devices' documents name its mirror, and whether they can be reached is its matter.
  if (node->role == v1::GATEWAY) {
    if (!same) RecomputeSite(node->site, &change);
    UpdateSiteStatus(node->site, &change);
  }
  return change;
}

FleetChange Fleet::OnState(std::string_view site, std::string_view name, v1::State state,
                           bool retained, bool* ours) {
  FleetChange change;
  Node* node = Mutable(site, name);
  *ours = node != nullptr;
  if (node == nullptr) return change;
  // One of an earlier boot that came late is put right by the next, in half a minute at most.
  const bool same_boot = state.boot_id() == node->state.boot_id();
  if (same_boot && state.sequence() <= node->state.sequence() && node->state.sequence() > 0) {
    return change;
  }
  const bool shows_the_same = ShowsTheSame(node->state, state);
  if (ServiceStates(node->state) != ServiceStates(state)) {
    AddApplications(node->state, &change.applications);
    AddApplications(state, &change.applications);
  }
  node->state = std::move(state);
  if (!retained) {
    node->heard = clock_.Monotonic();
    node->last_seen_ms = ToMs(clock_.Wall());
    // Of two states the nearer one: a state that waited somewhere on its way looks like a slow
    // clock.
    const std::int64_t offset = ToMs(node->state.time_unix_ns()) - ToMs(clock_.Wall());
    node->clock_offset_ms =
        std::abs(offset) < std::abs(node->last_offset_ms) ? offset : node->last_offset_ms;
    node->last_offset_ms = offset;
    Sample(*node);
    FollowStates(node, same_boot, &change);
  }
  change.dirty.insert(node->name);
  if (!shows_the_same) change.nodes.insert(node->name);
  if (node->state.generation() > node->desired.generation()) {
    // It knows a later document than we do: ours was restored from an older backup. Ours counts.
    node->desired.set_generation(NextGeneration(*node));
    change.desired.insert(node->name);
  }
  UpdateStatus(node, &change);
  if (node->role == v1::GATEWAY) UpdateSiteStatus(site, &change);
  return change;
}

// A birth or a Will that came late speaks of a connection that another one followed: nothing but
// the states tells. One may have been on its way when the connection ended, two in a row were not.
void Fleet::FollowStates(Node* node, bool same_boot, FleetChange* change) {
  const std::string& boot = node->state.boot_id();
  node->states_in_a_row = same_boot ? node->states_in_a_row + 1 : 1;
  if (node->states_in_a_row < kSignsOfLife) return;
  if (node->birth.online() && node->birth.boot_id() == boot) return;
  v1::Birth birth = node->TakeOldBirth(boot);
  birth.set_boot_id(boot);
  birth.set_online(true);
  const bool same = SaysTheSame(node->birth, birth);
  node->birth = std::move(birth);
  if (!same) Recompute(node, change);
}

FleetChange Fleet::Tick() {
  FleetChange change;
  // Gateways first: what their devices are depends on them.
  for (const v1::Role role : {v1::GATEWAY, v1::DEVICE}) {
    for (auto& [name, node] : nodes_) {
      if ((node.role == v1::GATEWAY) == (role == v1::GATEWAY)) UpdateStatus(&node, &change);
    }
  }
  return change;
}

void Fleet::Sample(const Node& node) {
  for (const v1::ServiceStatus& service : node.state.services()) {
    if (!service.has_pipeline()) continue;
    const v1::PipelineMetrics& pipeline = service.pipeline();
    std::uint64_t dropped = 0;
    for (const auto& [reason, count] : pipeline.ledger().dropped()) dropped += count;
    series_.Add(node.name, service.application() + "/" + service.name(), clock_.Wall(),
                {.fps = pipeline.frames_per_second(),
                 .p50_ms = pipeline.latency_p50_ms(),
                 .p99_ms = pipeline.latency_p99_ms(),
                 .dropped = dropped});
  }
}

// ---- status ------------------------------------------------------------------------------------

void Fleet::UpdateStatus(Node* node, FleetChange* change) {
  NodeStatus status = NodeStatus::kOnline;
  std::string reason;
  const Node* gateway = node->role == v1::GATEWAY ? nullptr : GatewayOf(node->site);
  if (node->last_seen_ms == 0) {
    status = NodeStatus::kNever;
    reason = "it joined and was not heard yet";
  } else if (gateway != nullptr &&
             (gateway->status == NodeStatus::kOffline || gateway->status == NodeStatus::kStale)) {
    status = NodeStatus::kUnreachable;
    reason = fmt::format("its gateway {} is {}", gateway->name, NodeStatusName(gateway->status));
  } else if (!node->birth.online()) {
    status = NodeStatus::kOffline;
    reason = "its connection ended";
  } else if (node->heard < 0) {
    status = NodeStatus::kStale;
    reason = "not heard since the control plane started";
  } else if (clock_.Monotonic() - node->heard > options_.stale_after) {
    status = NodeStatus::kStale;
    reason = fmt::format("connected, but silent for more than {} seconds",
                         options_.stale_after / kSecond);
  }
  if (node->status == status && node->status_reason == reason) return;
  if (node->status != status) node->status_since_ms = ToMs(clock_.Wall());
  node->status = status;
  node->status_reason = std::move(reason);
  change->nodes.insert(node->name);
}

void Fleet::UpdateSiteStatus(std::string_view site, FleetChange* change) {
  for (const bool gateways : {true, false}) {
    for (auto& [name, node] : nodes_) {
      if (node.site == site && (node.role == v1::GATEWAY) == gateways) UpdateStatus(&node, change);
    }
  }
}

// ---- documents ---------------------------------------------------------------------------------

std::vector<PlacementApplication> Fleet::PlacementApplications() const {
  std::vector<PlacementApplication> list;
  list.reserve(applications_.size());
  for (const auto& [name, record] : applications_) {
    list.push_back({&record.application, record.created_ms});
  }
  return list;
}

std::string Fleet::RegistryFor(const Node& node) const {
  const Node* gateway = node.role == v1::GATEWAY ? nullptr : GatewayOf(node.site);
  return gateway != nullptr && !gateway->offered_registry.empty() ? gateway->offered_registry
                                                                  : options_.registry_url;
}

void Fleet::AddServices(const Node& node, v1::Desired* desired) const {
  // Where one device's applications run does not depend on other devices.
  const PlacementDevice device = ToPlacementDevice(node);
  const std::string* arch = device.Find("arch");
  const std::vector<ApplicationPlacement> placements = Place(PlacementApplications(), {device});
  for (const ApplicationPlacement& placement : placements) {
    if (!placement.devices.front().fits) continue;
    const ApplicationRecord& record = applications_.find(placement.application)->second;
    for (const Microservice& service : record.application.microservices) {
      const Image* image = service.ImageFor(arch == nullptr ? kAnyArch : *arch);
      if (image == nullptr) continue;  // cannot be: it fits
      const auto resolved = record.images.find(image->text);
      v1::ServiceSpec* spec = desired->add_services();
      spec->set_application(placement.application);
      FillService(service, *image,
                  resolved == record.images.end() ? ResolvedImage{} : resolved->second, spec);
    }
  }
}

void Fleet::AddMembers(const Node& gateway, v1::Desired* desired) const {
  for (const auto& [name, node] : nodes_) {
    if (node.site != gateway.site || node.role == v1::GATEWAY) continue;
    v1::Member* member = desired->add_members();
    member->set_device(name);
    member->set_certificate_sha256(node.certificate_sha256);
  }
  *desired->mutable_gateway() = options_.gateway_policy;
}

v1::Desired Fleet::Compute(const Node& node) const {
  v1::Desired desired;
  desired.set_device(node.name);
  desired.set_registry(RegistryFor(node));
  if (node.role == v1::GATEWAY) {
    AddMembers(node, &desired);
  } else {
    AddServices(node, &desired);
  }
  return desired;
}

// Above every generation that this name ever had, those included that the tables know nothing of:
// from before it was deleted, or from after the backup that was put back. Were one given twice, a
// device that has the first would take it for the second.
std::uint64_t Fleet::NextGeneration(const Node& node) const {
  const std::int64_t time = std::max<std::int64_t>(ToMs(clock_.Wall()) - kGenerationEpochMs, 0);
  return std::max({node.desired.generation() + 1, node.state.generation() + 1,
                   static_cast<std::uint64_t>(time)});
}

void Fleet::Recompute(Node* node, FleetChange* change) {
  v1::Desired desired = Compute(*node);
  if (node->desired.generation() > 0 && SameDocument(node->desired, desired)) return;
  std::set<std::string> applications;
  for (const auto& service : node->desired.services()) applications.insert(service.application());
  for (const auto& service : desired.services()) applications.insert(service.application());
  change->applications.merge(applications);
  desired.set_generation(NextGeneration(*node));
  node->desired = std::move(desired);
  change->desired.insert(node->name);
  change->nodes.insert(node->name);
}

void Fleet::RecomputeSite(std::string_view site, FleetChange* change) {
  for (auto& [name, node] : nodes_) {
    if (node.site == site) Recompute(&node, change);
  }
}

void Fleet::RecomputeAll(FleetChange* change) {
  for (auto& [name, node] : nodes_) Recompute(&node, change);
}

// ---- what is known -----------------------------------------------------------------------------

const Node* Fleet::Find(std::string_view name) const {
  const auto it = nodes_.find(name);
  return it == nodes_.end() ? nullptr : &it->second;
}

const Node* Fleet::GatewayOf(std::string_view site) const {
  const auto it = gateways_.find(site);
  return it == gateways_.end() ? nullptr : Find(it->second);
}

std::vector<ApplicationPlacement> Fleet::Placements(
    const std::vector<ApplicationRecord>& more) const {
  std::vector<PlacementApplication> list;
  for (const PlacementApplication& entry : PlacementApplications()) {
    const bool replaced = std::ranges::any_of(more, [&](const ApplicationRecord& record) {
      return record.application.name == entry.application->name;
    });
    if (!replaced) list.push_back(entry);
  }
  for (const ApplicationRecord& record : more) {
    list.push_back({&record.application, record.created_ms});
  }
  std::vector<PlacementDevice> devices;
  for (const auto& [name, node] : nodes_) {
    if (node.role != v1::GATEWAY) devices.push_back(ToPlacementDevice(node));
  }
  return Place(list, devices);
}

}  // namespace selvedge
