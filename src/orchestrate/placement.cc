#include "orchestrate/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <tuple>

#include "proto/fleet.pb.h"

namespace selvedge {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;

std::optional<double> AsNumber(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

bool SameValue(std::string_view a, std::string_view b) {
  const auto left = AsNumber(a);
  const auto right = AsNumber(b);
  return left && right ? *left == *right : a == b;
}

bool IsThere(const std::string* value) {
  return value != nullptr && *value != "false" && AsNumber(*value) != 0.0;
}

std::string List(const std::vector<std::string>& values) {
  return fmt::format("{}", fmt::join(values, ", "));
}

bool Compares(ConstraintOperator op, double value, double bound) {
  switch (op) {
    case ConstraintOperator::kLess: return value < bound;
    case ConstraintOperator::kLessEqual: return value <= bound;
    case ConstraintOperator::kGreater: return value > bound;
    default: return value >= bound;
  }
}

std::string_view BoundWord(ConstraintOperator op) {
  switch (op) {
    case ConstraintOperator::kLess: return "below";
    case ConstraintOperator::kLessEqual: return "at most";
    case ConstraintOperator::kGreater: return "above";
    default: return "at least";
  }
}

// What older applications were promised on one device.
struct Promised {
  struct Share {
    double gpu = 0;
    double tpu = 0;
    double memory_bytes = 0;
    double cpus = 0;
  };
  Share sum;
  std::map<std::string, Share> by_application;
  std::map<int, std::string> ports;  // external port to application
};

double NumberOr(const std::string* value, double otherwise) {
  return value == nullptr ? otherwise : AsNumber(*value).value_or(otherwise);
}

// "3", "1.5": no trailing zeros.
std::string Amount(double value) {
  return fmt::format("{}", std::round(value * 1000) / 1000);
}

// One capacity of one device for one application.
struct Claim {
  std::string_view what;  // "gpu"
  std::string_view unit;  // " MiB", or empty
  double need = 0;
  double capacity = 0;
  double Promised::Share::* share;
  double scale = 1;  // of one unit
};

void CheckClaim(const Claim& claim, const Promised& promised, std::vector<std::string>* reasons) {
  if (claim.need <= 0) return;
  const double taken = promised.sum.*claim.share;
  // Sums of decimal fractions of processors are not exact.
  if (taken + claim.need <= claim.capacity + 1e-9 * claim.scale) return;
  const auto amount = [&](double value) { return Amount(value / claim.scale); };
  std::string reason =
      fmt::format("needs {}{} of {}, has {}", amount(claim.need), claim.unit, claim.what,
                  claim.capacity <= 0 ? "none" : amount(claim.capacity));
  if (taken > 0) {
    std::vector<std::string> takers;
    for (const auto& [name, share] : promised.by_application) {
      if (share.*claim.share > 0)
        takers.push_back(fmt::format("{} for {}", amount(share.*claim.share), name));
    }
    reason += fmt::format(", taken: {}", fmt::join(takers, ", "));
  }
  reasons->push_back(std::move(reason));
}

Promised::Share Need(const Application& application) {
  Promised::Share need;
  for (const Microservice& service : application.microservices) {
    need.gpu += service.resources.gpu;
    need.tpu += service.resources.tpu;
    need.memory_bytes += static_cast<double>(service.resources.memory_bytes);
    need.cpus += service.resources.cpus;
  }
  return need;
}

void CheckCapacities(const Application& application, const PlacementDevice& device,
                     const Promised& promised, std::vector<std::string>* reasons) {
  const Promised::Share need = Need(application);
  const Claim claims[] = {
      {"gpu", "", need.gpu, AcceleratorCount(device.Find("gpu")), &Promised::Share::gpu, 1},
      {"tpu", "", need.tpu, AcceleratorCount(device.Find("tpu")), &Promised::Share::tpu, 1},
      {"memory", " MiB", need.memory_bytes, NumberOr(device.Find("memory_mb"), 0) * kMiB,
       &Promised::Share::memory_bytes, kMiB},
      {"cpus", "", need.cpus, NumberOr(device.Find("cores"), 0), &Promised::Share::cpus, 1},
  };
  for (const Claim& claim : claims) CheckClaim(claim, promised, reasons);
  for (const Microservice& service : application.microservices) {
    for (const ServicePort& port : service.ports) {
      const auto taken = promised.ports.find(port.external);
      if (taken == promised.ports.end()) continue;
      reasons->push_back(fmt::format("port {} is taken by {}", port.external, taken->second));
    }
  }
}

void CheckImages(const Application& application, const PlacementDevice& device,
                 std::vector<std::string>* reasons) {
  const std::string* arch = device.Find("arch");
  for (const Microservice& service : application.microservices) {
    const Image* image = service.ImageFor(arch == nullptr ? kAnyArch : *arch);
    if (image == nullptr) {
      std::vector<std::string> there;
      for (const auto& [key, unused] : service.images) there.push_back(key);
      reasons->push_back(fmt::format("{} has no image for arch {}, only for {}", service.name,
                                     arch == nullptr ? "unknown" : *arch, List(there)));
    } else if (image->kind == ImageKind::kContainer && !IsThere(device.Find("containers"))) {
      reasons->push_back(
          fmt::format("{} is a container, and the device has nothing to run one", service.name));
    }
  }
}

PlacementVerdict Judge(const Application& application, const PlacementDevice& device,
                       const Promised& promised) {
  PlacementVerdict verdict{.device = device.name};
  if (!device.known) {
    verdict.reasons.emplace_back("it has not reported yet what it is");
    return verdict;
  }
  for (const Constraint& constraint : application.placements) {
    if (auto reason = WhyNot(constraint, device)) verdict.reasons.push_back(*std::move(reason));
  }
  CheckImages(application, device, &verdict.reasons);
  CheckCapacities(application, device, promised, &verdict.reasons);
  verdict.fits = verdict.reasons.empty();
  return verdict;
}

void Promise(const Application& application, Promised* promised) {
  const Promised::Share need = Need(application);
  promised->sum.gpu += need.gpu;
  promised->sum.tpu += need.tpu;
  promised->sum.memory_bytes += need.memory_bytes;
  promised->sum.cpus += need.cpus;
  promised->by_application[application.name] = need;
  for (const Microservice& service : application.microservices) {
    for (const ServicePort& port : service.ports) {
      promised->ports.emplace(port.external, application.name);
    }
  }
}

}  // namespace

double AcceleratorCount(const std::string* value) {
  if (value == nullptr || *value == "false") return 0;
  return std::max(0.0, std::floor(AsNumber(*value).value_or(1)));
}

const std::string* PlacementDevice::Find(std::string_view key) const {
  if (const auto it = labels.find(key); it != labels.end()) return &it->second;
  const auto it = facts.find(key);
  return it == facts.end() ? nullptr : &it->second;
}

std::optional<std::string> WhyNot(const Constraint& constraint, const PlacementDevice& device) {
  const std::string* value = device.Find(constraint.key);
  const std::string& key = constraint.key;
  const std::string is =
      value == nullptr ? key + " is not there" : fmt::format("{} is {}", key, *value);
  const auto equals = [&](const std::string& other) {
    return value != nullptr && SameValue(*value, other);
  };
  const bool any = std::ranges::any_of(constraint.values, equals);
  switch (constraint.op) {
    case ConstraintOperator::kEqual:
      if (any) return std::nullopt;
      return fmt::format("{}, must be {}", is, List(constraint.values));
    case ConstraintOperator::kNotEqual:
      if (!any) return std::nullopt;
      return fmt::format("{}, must not be", is);
    case ConstraintOperator::kIn:
      if (any) return std::nullopt;
      return fmt::format("{}, must be one of {}", is, List(constraint.values));
    case ConstraintOperator::kNotIn:
      if (!any) return std::nullopt;
      return fmt::format("{}, must be none of {}", is, List(constraint.values));
    case ConstraintOperator::kExists:
      if (IsThere(value)) return std::nullopt;
      return fmt::format("has no {}", key);
    case ConstraintOperator::kNotExists:
      if (!IsThere(value)) return std::nullopt;
      return fmt::format("{}, must have none", is);
    default: break;
  }
  const auto number = value == nullptr ? std::nullopt : AsNumber(*value);
  const auto bound = constraint.values.empty() ? std::nullopt : AsNumber(constraint.values[0]);
  if (number && bound && Compares(constraint.op, *number, *bound)) return std::nullopt;
  return fmt::format("{}{}, must be {} {}", is, value != nullptr && !number ? ", not a number" : "",
                     BoundWord(constraint.op), List(constraint.values));
}

std::vector<ApplicationPlacement> Place(const std::vector<PlacementApplication>& applications,
                                        const std::vector<PlacementDevice>& devices) {
  std::vector<PlacementApplication> by_age = applications;
  std::ranges::sort(by_age, [](const PlacementApplication& a, const PlacementApplication& b) {
    return std::tie(a.created_ms, a.application->name) <
           std::tie(b.created_ms, b.application->name);
  });
  std::vector<const PlacementDevice*> by_name;
  for (const PlacementDevice& device : devices) by_name.push_back(&device);
  std::ranges::sort(by_name, {}, &PlacementDevice::name);

  std::vector<Promised> promised(by_name.size());
  std::vector<ApplicationPlacement> placements;
  for (const PlacementApplication& entry : by_age) {
    ApplicationPlacement& placement = placements.emplace_back(entry.application->name);
    for (std::size_t i = 0; i < by_name.size(); ++i) {
      placement.devices.push_back(Judge(*entry.application, *by_name[i], promised[i]));
      if (placement.devices.back().fits) Promise(*entry.application, &promised[i]);
    }
  }
  std::ranges::sort(placements, {}, &ApplicationPlacement::application);
  return placements;
}

KeyValues FactValues(const v1::Facts& facts, std::string_view site, std::string_view name) {
  KeyValues values;
  const auto text = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) values.emplace(key, value);
  };
  text("arch", facts.arch());
  text("os", facts.os());
  text("kernel", facts.kernel());
  text("cpu", facts.cpu_model());
  text("site", site);
  text("name", name);
  if (facts.cpu_cores() > 0) text("cores", std::to_string(facts.cpu_cores()));
  if (facts.memory_bytes() > 0) text("memory_mb", std::to_string(facts.memory_bytes() >> 20));
  text("gpu", std::to_string(facts.gpus()));
  text("tpu", std::to_string(facts.tpus()));
  text("npu", std::to_string(facts.npus()));
  text("containers", facts.containers() ? "true" : "false");
  for (const std::string& engine : facts.engines()) {
    const std::size_t space = engine.find(' ');
    text("engine." + engine.substr(0, space),
         space == std::string::npos ? "true" : std::string_view(engine).substr(space + 1));
  }
  for (const std::string& camera : facts.cameras()) text("camera." + camera, "true");
  return values;
}

}  // namespace selvedge
