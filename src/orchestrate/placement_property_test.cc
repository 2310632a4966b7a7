// What must hold for any applications and any devices.

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "orchestrate/iofog.h"
#include "orchestrate/placement.h"

namespace selvedge {
namespace {

using rc::gen::inRange;

constexpr const char* kKeys[] = {"hardware", "tpu", "gpu", "cores", "zone"};
constexpr const char* kValues[] = {"jetson", "pi", "0", "1", "2", "2.0", "false", "true", "coral"};

std::string AnyOf(const auto& words) {
  return words[static_cast<std::size_t>(*inRange<int>(0, static_cast<int>(std::size(words))))];
}

Constraint AnyConstraint() {
  Constraint constraint{.key = AnyOf(kKeys),
                        .op = static_cast<ConstraintOperator>(*inRange(0, 10))};
  switch (constraint.op) {
    case ConstraintOperator::kExists:
    case ConstraintOperator::kNotExists: break;
    case ConstraintOperator::kIn:
    case ConstraintOperator::kNotIn:
      for (int i = *inRange(1, 4); i > 0; --i) constraint.values.push_back(AnyOf(kValues));
      break;
    case ConstraintOperator::kEqual:
    case ConstraintOperator::kNotEqual: constraint.values = {AnyOf(kValues)}; break;
    default: constraint.values = {std::to_string(*inRange(-1, 4))};
  }
  return constraint;
}

Application AnyApplication(int number) {
  static constexpr const char* kImages[] = {"pipeline:a/b:1", "host.example/c:2"};
  static constexpr const char* kArchs[] = {"x86", "arm64", "any"};
  Application application{.name = "app-" + std::to_string(number)};
  std::set<int> ports;
  for (int i = *inRange(1, 3); i > 0; --i) {
    Microservice service{.name = "service-" + std::to_string(i)};
    std::string why;
    ParseImage(AnyOf(kImages), &service.images[AnyOf(kArchs)], &why);
    service.resources = {.gpu = *inRange(0, 3),
                         .tpu = *inRange(0, 2),
                         .memory_bytes = std::int64_t{*inRange(0, 4)} << 28,
                         .cpus = *inRange(0, 9) * 0.25};
    if (const int port = *inRange(5000, 5004); *inRange(0, 2) == 0 && ports.insert(port).second) {
      service.ports.push_back({port, port});
    }
    application.microservices.push_back(std::move(service));
  }
  for (int i = *inRange(0, 3); i > 0; --i) application.placements.push_back(AnyConstraint());
  return application;
}

PlacementDevice AnyDevice(int number) {
  static constexpr const char* kArchs[] = {"x86", "arm64"};
  PlacementDevice device{.name = "device-" + std::to_string(number), .known = *inRange(0, 10) != 0};
  device.facts = {{"arch", AnyOf(kArchs)},
                  {"cores", std::to_string(*inRange(1, 5))},
                  {"memory_mb", std::to_string(*inRange(1, 9) * 256)},
                  {"gpu", std::to_string(*inRange(0, 4))},
                  {"tpu", "0"},
                  {"containers", *inRange(0, 2) == 0 ? "true" : "false"}};
  for (int i = *inRange(0, 3); i > 0; --i) device.labels[AnyOf(kKeys)] = AnyOf(kValues);
  return device;
}

// A fleet and what is to run on it.
struct World {
  std::vector<Application> applications;
  std::vector<std::int64_t> created;
  std::vector<PlacementDevice> devices;

  std::vector<PlacementApplication> Entries() const {
    std::vector<PlacementApplication> entries;
    for (std::size_t i = 0; i < applications.size(); ++i) {
      entries.push_back({&applications[i], created[i]});
    }
    return entries;
  }
};

World AnyWorld() {
  World world;
  for (int i = *inRange(0, 5); i > 0; --i) {
    world.applications.push_back(AnyApplication(i));
    world.created.push_back(*inRange(0, 3));
  }
  for (int i = *inRange(0, 5); i > 0; --i) world.devices.push_back(AnyDevice(i));
  return world;
}

using Verdicts = std::map<std::pair<std::string, std::string>, std::vector<std::string>>;

// By application and device: why not.
Verdicts Judge(const std::vector<PlacementApplication>& applications,
               const std::vector<PlacementDevice>& devices) {
  Verdicts verdicts;
  for (const ApplicationPlacement& placement : Place(applications, devices)) {
    for (const PlacementVerdict& verdict : placement.devices) {
      RC_ASSERT(verdict.fits == verdict.reasons.empty());
      verdicts[{placement.application, verdict.device}] = verdict.reasons;
    }
  }
  return verdicts;
}

RC_GTEST_PROP(PlacementProperty, NeverOverCapacity, ()) {
  const World world = AnyWorld();
  const Verdicts verdicts = Judge(world.Entries(), world.devices);
  for (const PlacementDevice& device : world.devices) {
    double gpu = 0;
    double tpu = 0;
    double cpus = 0;
    std::int64_t memory = 0;
    std::set<int> ports;
    for (const Application& application : world.applications) {
      if (!verdicts.at({application.name, device.name}).empty()) continue;
      for (const Microservice& service : application.microservices) {
        gpu += service.resources.gpu;
        tpu += service.resources.tpu;
        cpus += service.resources.cpus;
        memory += service.resources.memory_bytes;
        for (const ServicePort& port : service.ports) RC_ASSERT(ports.insert(port.external).second);
        RC_ASSERT(service.ImageFor(*device.Find("arch")) != nullptr);
      }
    }
    RC_ASSERT(gpu <= AcceleratorCount(device.Find("gpu")));
    RC_ASSERT(tpu <= AcceleratorCount(device.Find("tpu")));
    if (cpus > 0) RC_ASSERT(cpus <= std::strtod(device.Find("cores")->c_str(), nullptr));
    RC_ASSERT(memory <= std::stoll(*device.Find("memory_mb")) << 20);
  }
}

RC_GTEST_PROP(PlacementProperty, TheOrderOfItsInputsDoesNotMatter, (unsigned seed)) {
  const World world = AnyWorld();
  std::vector<PlacementApplication> applications = world.Entries();
  std::vector<PlacementDevice> devices = world.devices;
  const Verdicts before = Judge(applications, devices);
  std::mt19937 random(seed);
  std::ranges::shuffle(applications, random);
  std::ranges::shuffle(devices, random);
  RC_ASSERT(Judge(applications, devices) == before);
}

RC_GTEST_PROP(PlacementProperty, AYoungerApplicationChangesNothingForTheOlder, ()) {
  const World world = AnyWorld();
  const Verdicts before = Judge(world.Entries(), world.devices);
  const Application younger = AnyApplication(99);
  std::vector<PlacementApplication> more = world.Entries();
  more.push_back({&younger, 1000});
  const Verdicts after = Judge(more, world.devices);
  for (const auto& [key, reasons] : before) RC_ASSERT(after.at(key) == reasons);
}

RC_GTEST_PROP(PlacementProperty, AFurtherConstraintOnlyAddsReasons, ()) {
  World world = AnyWorld();
  RC_PRE(!world.applications.empty());
  const Verdicts before = Judge(world.Entries(), world.devices);
  // The youngest: then nothing else moves.
  Application& changed = world.applications.back();
  world.created.back() = 1000;
  const Verdicts base = Judge(world.Entries(), world.devices);
  changed.placements.push_back(AnyConstraint());
  const Verdicts after = Judge(world.Entries(), world.devices);
  for (const auto& [key, reasons] : base) {
    if (key.first != changed.name) continue;
    const std::multiset<std::string> less(reasons.begin(), reasons.end());
    const std::multiset<std::string> more(after.at(key).begin(), after.at(key).end());
    RC_ASSERT(std::ranges::includes(more, less));
    RC_ASSERT(more.size() <= less.size() + 1);
  }
}

RC_GTEST_PROP(PlacementProperty, NegatedOperatorsAreOpposites, ()) {
  const PlacementDevice device = AnyDevice(1);
  const std::string key = AnyOf(kKeys);
  const std::string value = AnyOf(kValues);
  const auto holds = [&](ConstraintOperator op, std::vector<std::string> values) {
    return !WhyNot({key, op, std::move(values)}, device).has_value();
  };
  RC_ASSERT(holds(ConstraintOperator::kEqual, {value}) !=
            holds(ConstraintOperator::kNotEqual, {value}));
  RC_ASSERT(holds(ConstraintOperator::kIn, {value}) != holds(ConstraintOperator::kNotIn, {value}));
  RC_ASSERT(holds(ConstraintOperator::kExists, {}) != holds(ConstraintOperator::kNotExists, {}));
  RC_ASSERT(holds(ConstraintOperator::kEqual, {value}) == holds(ConstraintOperator::kIn, {value}));
  const bool less = holds(ConstraintOperator::kLess, {"1"});
  const bool least = holds(ConstraintOperator::kGreaterEqual, {"1"});
  RC_ASSERT(!(less && least));
}

// ---- the manifest ----

std::string AnyText() {
  static constexpr const char* kTexts[] = {
      "",  "yes", "1",  "0x1F", "a: b", "#", "- x", "\"", "'", "\\", "é", "\n", "\t x ",  "null",
      "~", "*a",  "&b", "!t",   "%",    "|", "1e5", ".5", "{", "]",  ",", "?",  "x\x7Fy", "\u2028"};
  return AnyOf(kTexts);
}

nlohmann::ordered_json AnyJson(int depth) {
  switch (*inRange(0, depth > 0 ? 8 : 6)) {
    case 0: return nullptr;
    case 1: return *inRange(0, 2) == 0;
    case 2: return *inRange(-100000, 100000);
    case 3: return *inRange(-100000, 100000) / 64.0;
    case 4:
    case 5: return AnyText();
    case 6: {
      auto list = nlohmann::ordered_json::array();
      for (int i = *inRange(0, 4); i > 0; --i) list.push_back(AnyJson(depth - 1));
      return list;
    }
    default: {
      auto object = nlohmann::ordered_json::object();
      for (int i = *inRange(0, 4); i > 0; --i) object["k" + AnyText()] = AnyJson(depth - 1);
      return object;
    }
  }
}

RC_GTEST_PROP(ManifestProperty, WhatIsWrittenReadsBackAsTheSame, ()) {
  Application application = AnyApplication(1);
  for (Microservice& service : application.microservices) {
    service.resources.memory_bytes += service.resources.memory_bytes > 0 ? *inRange(0, 5) : 0;
    auto config = nlohmann::ordered_json::object();
    for (int i = *inRange(0, 4); i > 0; --i) config["key" + AnyText()] = AnyJson(3);
    service.config_json = config.dump();
    for (int i = *inRange(0, 3); i > 0; --i)
      service.env.emplace_back("V" + std::to_string(i), AnyText());
  }
  const std::string written = WriteDeployment(application);
  const auto read = ParseDeployment(written, "written.yaml");
  if (!read) RC_FAIL(read.error().message() + "\n" + written);
  RC_ASSERT(read->size() == 1U);
  const Application& back = read->front().application;
  for (std::size_t i = 0; i < application.microservices.size(); ++i) {
    RC_ASSERT(nlohmann::json::parse(back.microservices[i].config_json) ==
              nlohmann::json::parse(application.microservices[i].config_json));
    application.microservices[i].config_json = back.microservices[i].config_json;
  }
  RC_ASSERT(back == application);
}

}  // namespace
}  // namespace selvedge
