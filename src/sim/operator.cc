#include "sim/operator.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "orchestrate/iofog.h"

namespace selvedge {
namespace {

constexpr int kApplications = 10;
constexpr std::string_view kHardware[] = {"jetson", "pi", "x86-box"};
constexpr std::string_view kZones[] = {"hall", "yard", "gate"};

const std::string* Value(const SimDeviceOptions& device, const std::string& key) {
  const auto found = device.labels.find(key);
  return found == device.labels.end() ? nullptr : &found->second;
}

bool Holds(const Constraint& constraint, const SimDeviceOptions& device) {
  if (constraint.key == "cores")
    return device.facts.cpu_cores() >= std::stoul(constraint.values[0]);
  const std::string* value = Value(device, constraint.key);
  const bool among =
      value != nullptr && std::ranges::find(constraint.values, *value) != constraint.values.end();
  switch (constraint.op) {
    case ConstraintOperator::kEqual:
    case ConstraintOperator::kIn: return among;
    case ConstraintOperator::kNotEqual:
    case ConstraintOperator::kNotIn: return !among;
    case ConstraintOperator::kExists: return value != nullptr;
    default: return value == nullptr;  // notexists
  }
}

}  // namespace

bool IsRefusable(std::string_view application) {
  return application.ends_with("-9");
}

bool MayRun(const Application& application, const SimDeviceOptions& device) {
  for (const Microservice& service : application.microservices) {
    const auto image = service.images.contains(device.facts.arch())
                           ? service.images.find(device.facts.arch())
                           : service.images.find("any");
    if (image == service.images.end()) return false;
    if (image->second.kind == ImageKind::kContainer && !device.facts.containers()) return false;
  }
  return std::ranges::all_of(application.placements, [&](const Constraint& constraint) {
    return Holds(constraint, device);
  });
}

std::map<std::string, std::string> SimOperator::AnyLabels() {
  SimRandom& random = loop_.random();
  std::map<std::string, std::string> labels;
  labels["hardware"] = random.Pick(kHardware);
  if (random.Chance(0.7)) labels["zone"] = random.Pick(kZones);
  if (random.Chance(0.3)) labels["night"] = "yes";
  return labels;
}

// ---- what comes to mind ------------------------------------------------------------------------

Image SimOperator::AnyImage() {
  SimRandom& random = loop_.random();
  const std::string model = fmt::format("models/m{}", random.Between(1, 3));
  const std::string tag = random.Chance(0.3) ? "latest" : fmt::format("v{}", random.Between(1, 4));
  Image image;
  std::string why;
  if (!ParseImage(fmt::format("{}{}:{}", random.Chance(0.8) ? "pipeline:" : "", model, tag), &image,
                  &why)) {
    violation_("operator", "its image is none: " + why);
  }
  return image;
}

Microservice SimOperator::AnyService(const std::string& name, bool refusable,
                                     std::vector<int>* ports) {
  SimRandom& random = loop_.random();
  Microservice service{.name = name};
  if (random.Chance(0.7)) {
    service.images["any"] = AnyImage();
  } else {
    service.images["arm64"] = AnyImage();
    if (random.Chance(0.5)) service.images["x86"] = AnyImage();
  }
  service.config_json = fmt::format(R"({{"confidence_threshold":0.{}}})", random.Between(1, 9));
  service.resources = {.gpu = random.Chance(0.3) ? 1 : 0,
                       .tpu = random.Chance(0.2) ? 1 : 0,
                       .memory_bytes = random.Between(0, 3) << 28,
                       .cpus = static_cast<double>(random.Between(0, 6)) * 0.25};
  const int port = static_cast<int>(random.Between(5000, 5006));
  if (random.Chance(0.3) && std::ranges::find(*ports, port) == ports->end()) {
    // A container has the same number inside and outside, or is refused.
    service.ports.push_back({port, port});
    ports->push_back(port);
  }
  if (refusable) service.volumes.push_back({"/etc", "/data", true});
  return service;
}

Constraint SimOperator::AnyConstraint() {
  SimRandom& random = loop_.random();
  switch (random.Between(0, 5)) {
    case 0: return {"hardware", ConstraintOperator::kEqual, {std::string(random.Pick(kHardware))}};
    case 1:
      return {"hardware", ConstraintOperator::kNotEqual, {std::string(random.Pick(kHardware))}};
    case 2: return {"zone", ConstraintOperator::kIn, {"hall", std::string(random.Pick(kZones))}};
    case 3: return {"night", ConstraintOperator::kExists, {}};
    case 4: return {"night", ConstraintOperator::kNotExists, {}};
    default:
      return {"cores", ConstraintOperator::kGreaterEqual, {std::to_string(random.Between(2, 4))}};
  }
}

Application SimOperator::AnyApplication(const std::string& name) {
  SimRandom& random = loop_.random();
  Application application{.name = name};
  std::vector<int> ports;
  for (std::int64_t i = random.Between(1, 2); i > 0; --i) {
    application.microservices.push_back(
        AnyService(fmt::format("service-{}", i), IsRefusable(name), &ports));
  }
  for (std::int64_t i = random.Between(0, 2); i > 0; --i) {
    application.placements.push_back(AnyConstraint());
  }
  return application;
}

// ---- orders ------------------------------------------------------------------------------------

void SimOperator::Order() {
  SimRandom& random = loop_.random();
  if (random.Chance(0.2)) cloud_.registry().Push();
  if (random.Chance(0.15)) return ApplyWrong();
  if (random.Chance(0.25)) return Delete();
  Apply();
}

void SimOperator::Accept(const std::vector<ApplicationRecord>& records) {
  for (const ApplicationRecord& record : records) {
    applications_.insert_or_assign(record.application.name, record);
    ever_.emplace(record.application.name, record);
  }
}

bool SimOperator::EverPlaced(const v1::ServiceSpec& spec, const SimDevice& device) const {
  const auto may_run = [&](const SimDeviceOptions& options) {
    const auto [begin, end] = ever_.equal_range(spec.application());
    return std::any_of(begin, end, [&](const auto& entry) {
      const ApplicationRecord& record = entry.second;
      if (!MayRun(record.application, options)) return false;
      return std::ranges::any_of(record.application.microservices, [&](const auto& service) {
        const Image* image = service.ImageFor(options.facts.arch());
        return service.name == spec.name() && service.config_json == spec.config_json() &&
               image != nullptr && record.images.at(image->text).digest == spec.digest();
      });
    });
  };
  return may_run(device.options()) || std::ranges::any_of(device.before(), may_run);
}

void SimOperator::Apply() {
  const std::string name = fmt::format("app-{}", loop_.random().Between(0, kApplications - 1));
  const Application application = AnyApplication(name);
  const auto applied = cloud_.plane().Apply(WriteDeployment(application), "order.yaml", false);
  if (!applied) {
    return violation_("operator", name + " was refused: " + applied.error().message());
  }
  loop_.Note("operator", "applied " + name);
  ++orders_;
  if (!applied->applied || applied->records.size() != 1 ||
      applied->records.front().application != application) {
    return violation_("operator", name + " was applied as something else");
  }
  Accept(applied->records);
}

// Two applications in one file, the second of them wrong: nothing of it may have an effect.
void SimOperator::ApplyWrong() {
  const std::string name = fmt::format("app-{}", loop_.random().Between(0, kApplications - 1));
  Application good = AnyApplication(name);
  Application bad = AnyApplication("never");
  std::string text;
  if (loop_.random().Chance(0.5)) {
    Image missing;
    std::string why;
    if (!ParseImage("pipeline:models/m1:missing", &missing, &why)) return;
    bad.microservices.front().images = {{"any", missing}};
    text = WriteDeployment(std::vector<Application>{good, bad});
  } else {
    text = WriteDeployment(std::vector<Application>{good, bad}) + "\nsurprise: 1\n";
  }
  const auto applied = cloud_.plane().Apply(text, "wrong.yaml", false);
  loop_.Note("operator", "applied something wrong");
  ++refused_;
  if (applied) violation_("operator", "what is wrong was applied:\n" + text);
}

void SimOperator::Delete() {
  if (applications_.empty()) return;
  auto victim = applications_.begin();
  std::advance(victim,
               loop_.random().Between(0, static_cast<std::int64_t>(applications_.size()) - 1));
  const Status deleted = cloud_.plane().DeleteApplication(victim->first);
  if (!deleted.ok()) return violation_("operator", "nothing was deleted: " + deleted.message());
  loop_.Note("operator", "deleted " + victim->first);
  ++orders_;
  applications_.erase(victim);
}

}  // namespace selvedge
