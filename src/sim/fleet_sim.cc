#include "sim/fleet_sim.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace selvedge {
namespace {

constexpr Nanos kJoining = 20 * kSecond;  // everybody joins within
constexpr Nanos kLook = 10 * kSecond;     // between two looks whether all is settled
constexpr Nanos kStays = 60 * kSecond;    // for so long it must stay so
constexpr Nanos kYear = 365 * 86'400 * kSecond;
constexpr LinkQuality kGoodLink = {};

}  // namespace

FleetSim::FleetSim(FleetSimOptions options)
    : options_(std::move(options)),
      loop_(options_.seed),
      site_link_(options_.quality),
      uplink_(options_.quality),
      violation_([this](const std::string& node, const std::string& what) {
        if (!wrong_) wrong_ = Wrong{node, what};
      }),
      cloud_(&loop_, options_.folder, violation_),
      operator_(&loop_, &cloud_, violation_),
      restores_left_(options_.restores) {}

// ---- the fleet ---------------------------------------------------------------------------------

void FleetSim::AddGateway(int number) {
  const std::string site = fmt::format("site-{}", number);
  gateways_.push_back(std::make_unique<SimGateway>(
      &loop_, &cloud_.broker(), &uplink_, fmt::format("gateway-{}", number), site,
      fmt::format("{}/gateway-{}.db", options_.folder, number), violation_));
}

void FleetSim::AddDevice(int number, const std::string& site, SimBroker* broker,
                         const LinkQuality* link) {
  SimRandom& random = loop_.random();
  SimDeviceOptions device{.name = fmt::format("device-{}", number), .site = site};
  device.facts.set_arch(random.Chance(0.6) ? "arm64" : "x86");
  device.facts.set_cpu_cores(static_cast<std::uint32_t>(random.Between(1, 4)));
  device.facts.set_memory_bytes(static_cast<std::uint64_t>(random.Between(1, 8)) << 29);
  device.facts.set_gpus(static_cast<std::uint32_t>(random.Between(0, 2)));
  device.facts.set_tpus(static_cast<std::uint32_t>(random.Between(0, 1)));
  device.facts.set_containers(random.Chance(0.7));
  device.labels = operator_.AnyLabels();
  device.state_interval = options_.state_interval;
  if (number % 7 == 3) device.clock_error = number % 2 == 0 ? -kYear : kYear;
  device.limits.containers = device.facts.containers();
  device.limits.allow_volumes = {"/var/edge-models"};
  if (number < options_.event_devices) {
    device.outbox_file = fmt::format("{}/outbox-{}-", options_.folder, number);
    if (number % 5 == 4) device.outbox_records = 12;
  }
  devices_.push_back(
      std::make_unique<SimDevice>(&loop_, broker, link, std::move(device), violation_));
  SimDevice* added = devices_.back().get();
  added->SetPlaced(
      [this, added](const v1::ServiceSpec& spec) { return operator_.EverPlaced(spec, *added); });
}

void FleetSim::Build() {
  auto key = MakePrivateKey();
  if (!key) return violation_("cloud", key.error().message());
  key_ = *std::move(key);
  cloud_.Start();
  const int behind = std::max(options_.devices - options_.direct_devices, 0);
  const int sites = (behind + options_.devices_per_site - 1) / options_.devices_per_site;
  for (int i = 0; i < sites; ++i) AddGateway(i);
  for (int i = 0; i < options_.devices; ++i) {
    if (i < behind) {
      SimGateway& gateway = *gateways_[static_cast<std::size_t>(i % sites)];
      AddDevice(i, gateway.site(), &gateway.broker(), &site_link_);
    } else {
      AddDevice(i, "no-gateway", &cloud_.broker(), &uplink_);
    }
  }
}

void FleetSim::JoinAll() {
  for (const auto& gateway : gateways_) {
    const Status joined = cloud_.Join(key_, gateway->name(), gateway->site(), "gateway");
    if (!joined.ok()) violation_(gateway->name(), "it cannot join: " + joined.message());
    gateway->Start();
  }
  for (const auto& device : devices_) {
    away_.insert(device->options().name);
    loop_.After(loop_.random().Between(0, kJoining),
                [this, device = device.get()] { Join(device); });
  }
}

// ---- trouble -----------------------------------------------------------------------------------

void FleetSim::CrashDevice(SimDevice* device) {
  if (!device->running()) return;
  SimRandom& random = loop_.random();
  ++report_.crashes;
  device->Crash(random.Chance(0.5));
  if (random.Chance(0.2)) device->SetLabels(operator_.AnyLabels());
  loop_.After(random.Between(100, 20'000) * kMillisecond, [this, device] {
    if (!away_.contains(device->options().name)) device->Start();
  });
}

// By a person; it may come back with another disk.
void FleetSim::DeleteDevice(SimDevice* device) {
  const std::string& name = device->options().name;
  if (away_.contains(name) || !device->running()) return;
  const Status deleted = cloud_.plane().DeleteNode(name);
  if (!deleted.ok()) return violation_(name, "it cannot be deleted: " + deleted.message());
  loop_.Note(name, "is deleted from the fleet");
  away_.insert(name);
  ever_deleted_.insert(name);
  excused_.insert(device->accepted().begin(), device->accepted().end());
  device->Crash(true);
  if (loop_.random().Chance(0.5)) device->Wipe();
  loop_.After(loop_.random().Between(1, 60) * kSecond, [this, device] { Join(device); });
}

// As soon as there is a control plane to join.
void FleetSim::Join(SimDevice* device) {
  const SimDeviceOptions& options = device->options();
  if (!cloud_.running()) {
    loop_.After(kSecond, [this, device] { Join(device); });
    return;
  }
  const Status joined = cloud_.Join(key_, options.name, options.site, "device");
  if (!joined.ok()) return violation_(options.name, "it cannot join: " + joined.message());
  loop_.Note(options.name, "joins");
  away_.erase(options.name);
  device->Start();
}

// Its disk is lost, and an older copy is put back.
void FleetSim::RestoreCloud() {
  --restores_left_;
  const std::vector<std::string> before = cloud_.EventIds();
  cloud_.Kill();
  cloud_.RestoreBackup();
  operator_.RestoreBackup();
  cloud_.Start();
  const std::vector<std::string> after = cloud_.EventIds();
  const std::set<std::string> left(after.begin(), after.end());
  for (const std::string& id : before) {
    if (!left.contains(id)) excused_.insert(id);
  }
}

void FleetSim::TroubleCloud() {
  SimRandom& random = loop_.random();
  if (!cloud_.running()) return;
  // Nobody joins between a backup and its being put back: what a copy does not know is lost.
  if (restores_left_ > 0 && away_.empty() && loop_.now() > kJoining + 2 * kSecond) {
    if (backup_at_ == 0 && random.Chance(0.1)) {
      cloud_.Backup();
      operator_.Backup();
      backup_at_ = loop_.now();
      return;
    }
    if (backup_at_ > 0 && loop_.now() - backup_at_ > 20 * kSecond && random.Chance(0.03)) {
      ++report_.crashes;
      RestoreCloud();
      backup_at_ = 0;
      return;
    }
  }
  if (random.Chance(options_.crash_rate)) {
    ++report_.crashes;
    cloud_.Kill();
    loop_.After(random.Between(100, 15'000) * kMillisecond, [this] { cloud_.Start(); });
  }
}

void FleetSim::TroubleGateways() {
  SimRandom& random = loop_.random();
  for (const auto& gateway : gateways_) {
    if (random.Chance(options_.crash_rate)) {
      ++report_.crashes;
      gateway->Crash();
      loop_.After(random.Between(100, 30'000) * kMillisecond,
                  [gateway = gateway.get()] { gateway->Start(); });
    }
    if (random.Chance(options_.crash_rate)) gateway->RestartBroker();
    if (random.Chance(options_.cut_rate)) {
      gateway->uplink().Cut(random.Between(1, 60) * kSecond);
    }
  }
}

void FleetSim::TroubleDevices() {
  SimRandom& random = loop_.random();
  for (const auto& device : devices_) {
    if (random.Chance(options_.crash_rate)) CrashDevice(device.get());
    if (random.Chance(options_.cut_rate)) device->client().Cut(random.Between(1, 60) * kSecond);
  }
  // Between a backup and its being put back the fleet keeps its members.
  if (cloud_.running() && backup_at_ == 0 && random.Chance(0.05)) {
    DeleteDevice(random.Pick(devices_).get());
  }
}

void FleetSim::Trouble() {
  if (at_peace_) return;
  TroubleCloud();
  TroubleGateways();
  TroubleDevices();
  if (cloud_.running() &&
      loop_.random().Chance(ToSeconds(kSecond) / ToSeconds(options_.order_every))) {
    operator_.Order();
  }
  loop_.After(kSecond, [this] { Trouble(); });
}

void FleetSim::Peace() {
  loop_.Note("everybody", "peace");
  at_peace_ = true;
  site_link_ = uplink_ = kGoodLink;
  cloud_.SetTroubled(false);
  for (const auto& device : devices_) device->SetTroubled(false);
}

// ---- the run -----------------------------------------------------------------------------------

std::string FleetSim::Report(const Wrong& wrong) const {
  return fmt::format(
      "seed {}: {}: {}\n-- the last steps of {}:\n{}-- the last steps of all:\n{}"
      "again: SELVEDGE_SIM_SEED={}\n",
      options_.seed, wrong.node, wrong.what, wrong.node, loop_.LastSteps(wrong.node),
      loop_.LastSteps(), options_.seed);
}

std::string FleetSim::Run() {
  loop_.Trace(options_.trace);
  Build();
  JoinAll();
  loop_.After(kJoining / 2, [this] { Trouble(); });
  const Nanos peace = loop_.now() + kJoining + options_.trouble;
  while (!wrong_ && loop_.now() < peace) loop_.RunUntil(loop_.now() + kSecond);
  Peace();
  const Nanos end = peace + options_.peace;
  Nanos settled = -1;
  std::optional<Wrong> unsettled;
  while (!wrong_ && loop_.now() < end) {
    loop_.RunUntil(loop_.now() + kLook);
    if (wrong_) break;
    unsettled = Unsettled();
    if (unsettled) {
      settled = -1;
      continue;
    }
    if (settled < 0) settled = loop_.now();
    if (loop_.now() - settled >= kStays) break;
  }
  report_.steps = loop_.steps();
  report_.fingerprint = loop_.fingerprint();
  report_.orders = operator_.orders();
  report_.refused = operator_.refused();
  report_.converged = settled < 0 ? -1 : settled - peace;
  for (const auto& device : devices_) {
    report_.services += static_cast<int>(device->processes().size());
    report_.events += device->accepted().size();
    report_.dropped += device->dropped();
  }
  if (cloud_.running()) report_.arrived = cloud_.EventIds().size();
  if (wrong_) return Report(*wrong_);
  if (unsettled) {
    return Report({unsettled->node, fmt::format("not settled {:.0f} s after the trouble: {}",
                                                ToSeconds(options_.peace), unsettled->what)});
  }
  return {};
}

}  // namespace selvedge
