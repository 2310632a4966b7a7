// What must be true of a simulated fleet that has come to rest.

#include <fmt/format.h>

#include <algorithm>

#include "orchestrate/placement.h"
#include "sim/fleet_sim.h"

namespace selvedge {
namespace {

// "app/service" to digest and configuration.
using Services = std::map<std::string, std::string>;

std::string Listed(const Services& services) {
  std::string text;
  for (const auto& [name, what] : services) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, what);
  }
  return "[" + text + "]";
}

std::string Print(std::string_view digest, std::string_view config) {
  return fmt::format("{} {}", digest.substr(0, 15), config);
}

Services ServicesOf(const v1::Desired& desired) {
  Services services;
  for (const v1::ServiceSpec& spec : desired.services()) {
    services[KeyOf(spec).ToString()] = Print(spec.digest(), spec.config_json());
  }
  return services;
}

// What placement says for a device with these labels, as the operator's orders stand.
Services Expected(const SimOperator::Applications& applications, const SimDeviceOptions& device) {
  PlacementDevice place{.name = device.name, .known = true};
  place.labels.insert(device.labels.begin(), device.labels.end());
  place.facts = FactValues(device.facts, device.site, device.name);
  std::vector<PlacementApplication> list;
  for (const auto& [name, record] : applications) {
    list.push_back({&record.application, record.created_ms});
  }
  Services services;
  for (const ApplicationPlacement& placement : Place(list, {place})) {
    if (!placement.devices.front().fits) continue;
    const ApplicationRecord& record = applications.at(placement.application);
    for (const Microservice& service : record.application.microservices) {
      const Image* image = service.ImageFor(device.facts.arch());
      services[placement.application + "/" + service.name] =
          Print(record.images.at(image->text).digest, service.config_json);
    }
  }
  return services;
}

}  // namespace

std::optional<FleetSim::Wrong> FleetSim::CheckDesired(const SimDevice& device, const Node& node) {
  const std::string& name = device.options().name;
  const Services expected = Expected(operator_.applications(), device.options());
  if (const Services told = ServicesOf(node.desired); told != expected) {
    return Wrong{
        name, fmt::format("the cloud wants {}, placement says {}", Listed(told), Listed(expected))};
  }
  if (const Services taken = ServicesOf(device.desired()); taken != expected) {
    return Wrong{
        name, fmt::format("it took up generation {} {}, the cloud's is {} {}", device.generation(),
                          Listed(taken), node.desired.generation(), Listed(expected))};
  }
  if (device.generation() != node.desired.generation() || !node.InSync()) {
    return Wrong{
        name, fmt::format("it has generation {}, reported {}, the cloud has {}",
                          device.generation(), node.state.generation(), node.desired.generation())};
  }
  for (const v1::ServiceSpec& spec : device.desired().services()) {
    const auto record = operator_.applications().find(spec.application());
    if (record == operator_.applications().end() ||
        !MayRun(record->second.application, device.options())) {
      return Wrong{name, KeyOf(spec).ToString() + " does not belong there"};
    }
  }
  return std::nullopt;
}

std::optional<FleetSim::Wrong> FleetSim::CheckProcesses(SimDevice* device) {
  const std::string& name = device->options().name;
  Services run;
  for (const auto& [key, process] : device->processes()) {
    run[key.ToString()] = Print(process.spec.digest(), process.spec.config_json());
    if (process.ending) return Wrong{name, key.ToString() + " is still ending"};
  }
  Services should = ServicesOf(device->desired());
  std::erase_if(should, [](const auto& service) {
    return IsRefusable(service.first.substr(0, service.first.find('/')));
  });
  if (run != should) {
    return Wrong{name, fmt::format("it runs {}, and should {}", Listed(run), Listed(should))};
  }
  return std::nullopt;
}

std::optional<FleetSim::Wrong> FleetSim::CheckDevice(SimDevice* device) {
  const std::string& name = device->options().name;
  if (!device->running() || !device->client().connected()) return Wrong{name, "it is away"};
  const auto node = cloud_.plane().Read([&](const Fleet& fleet) {
    const Node* found = fleet.Find(name);
    return found == nullptr ? std::optional<Node>() : std::optional<Node>(*found);
  });
  if (!node) return Wrong{name, "the cloud does not know it"};
  if (auto wrong = CheckDesired(*device, *node)) return wrong;
  if (auto wrong = CheckProcesses(device)) return wrong;
  if (node->status != NodeStatus::kOnline) {
    return Wrong{name, fmt::format("it is there, and {} for the cloud: {}",
                                   NodeStatusName(node->status), node->status_reason)};
  }
  if (node->Trouble().empty() == (device->options().clock_error != 0)) {
    return Wrong{name, fmt::format("its clock is off by {:.0f} s, and its trouble is '{}'",
                                   ToSeconds(device->options().clock_error), node->Trouble())};
  }
  for (const v1::ServiceStatus& service : node->state.services()) {
    const v1::ServiceState good = IsRefusable(service.application()) ? v1::REFUSED : v1::RUNNING;
    if (service.state() == good) continue;
    return Wrong{name,
                 fmt::format("{}/{} is reported as {}: {}", service.application(), service.name(),
                             v1::ServiceState_Name(service.state()), service.message())};
  }
  if (node->state.services_size() != device->desired().services_size()) {
    return Wrong{name, "it reports other services than it has"};
  }
  return std::nullopt;
}

std::optional<FleetSim::Wrong> FleetSim::CheckGateways() {
  for (const auto& gateway : gateways_) {
    const auto [generation, status] = cloud_.plane().Read([&](const Fleet& fleet) {
      const Node* node = fleet.Find(gateway->name());
      return std::pair(node == nullptr ? 0 : node->desired.generation(),
                       node == nullptr ? NodeStatus::kNever : node->status);
    });
    if (gateway->generation() != generation) {
      return Wrong{gateway->name(), fmt::format("it has generation {}, the cloud has {}",
                                                gateway->generation(), generation)};
    }
    if (status != NodeStatus::kOnline) {
      return Wrong{gateway->name(),
                   fmt::format("it is there, and {} for the cloud", NodeStatusName(status))};
    }
    if (gateway->waiting() > 0) {
      return Wrong{gateway->name(), fmt::format("{} events wait in it", gateway->waiting())};
    }
  }
  return std::nullopt;
}

// Every event that an outbox took is in the cloud, once; but for those that were counted as dropped
// over a cap, that left the fleet with their device, or that the cloud lost with its own disk.
std::optional<FleetSim::Wrong> FleetSim::CheckEvents() {
  std::set<std::string> arrived;
  for (const std::string& id : cloud_.EventIds()) {
    if (!arrived.insert(id).second) return Wrong{"cloud", "it has twice: " + id};
  }
  std::size_t known = 0;
  for (const auto& device : devices_) {
    const std::string& name = device->options().name;
    if (device->waiting() > 0) {
      return Wrong{name, fmt::format("{} events wait in it", device->waiting())};
    }
    std::uint64_t missing = 0;
    std::string example;
    for (const std::string& id : device->accepted()) {
      if (arrived.contains(id)) {
        ++known;
      } else if (!excused_.contains(id)) {
        ++missing;
        example = id;
      }
    }
    if (missing > device->dropped()) {
      return Wrong{name, fmt::format("{} events are missing, one of them {}, and {} were dropped",
                                     missing, example, device->dropped())};
    }
  }
  if (known != arrived.size()) return Wrong{"cloud", "it has events that nobody sent"};
  return std::nullopt;
}

// The gateways counted what their devices saw: as many as arrived, each once. Where a cloud lost
// its disk, or a device left the fleet, windows went with them.
std::optional<FleetSim::Wrong> FleetSim::CheckAggregates() {
  if (options_.restores > 0) return std::nullopt;
  const std::map<std::string, std::uint64_t> counted = cloud_.AggregatedEvents();
  for (const auto& device : devices_) {
    const std::string& name = device->options().name;
    if (ever_deleted_.contains(name) || device->options().site == "no-gateway") continue;
    const auto found = counted.find(name);
    const std::uint64_t count = found == counted.end() ? 0 : found->second;
    const std::uint64_t accepted = device->accepted().size();
    if (count > accepted || count + device->dropped() < accepted) {
      return Wrong{name, fmt::format("its gateway counted {} events of {}, {} were dropped", count,
                                     accepted, device->dropped())};
    }
  }
  return std::nullopt;
}

std::optional<FleetSim::Wrong> FleetSim::Unsettled() {
  if (!cloud_.running()) return Wrong{"cloud", "it is away"};
  if (!away_.empty()) return Wrong{*away_.begin(), "it has not joined again"};
  for (const auto& device : devices_) {
    if (auto wrong = CheckDevice(device.get())) return wrong;
  }
  if (auto wrong = CheckGateways()) return wrong;
  if (auto wrong = CheckEvents()) return wrong;
  return CheckAggregates();
}

}  // namespace selvedge
