#pragma once

// Placement: which application runs on which device, and every reason why not.
//
// Pure and deterministic: the same applications and devices give the same answer in whatever order
// they come. An application runs on every device where its constraints hold, each microservice has
// an image, and its resources fit beside those of older applications; equally old ones go by name.
// Thread-safe.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrate/application.h"

namespace selvedge {

namespace v1 {
class Facts;
}

using KeyValues = std::map<std::string, std::string, std::less<>>;

// What a device found out about itself, by the names that constraints use. What it did not report
// is not there, except counts of accelerators, which are 0.
KeyValues FactValues(const v1::Facts& facts, std::string_view site, std::string_view name);

struct PlacementDevice {
  std::string name;
  KeyValues labels;
  KeyValues facts;     // of FactValues
  bool known = false;  // it has reported: before, nothing is placed on it

  // The label of this name, else the fact.
  const std::string* Find(std::string_view key) const;
};

struct PlacementApplication {
  const Application* application = nullptr;
  std::int64_t created_ms = 0;  // when it was first applied
};

struct PlacementVerdict {
  std::string device;
  bool fits = false;
  std::vector<std::string> reasons;  // why not; empty exactly where it fits
};

struct ApplicationPlacement {
  std::string application;
  std::vector<PlacementVerdict> devices;  // by name
};

// One entry per application, by name; each with one verdict per device.
std::vector<ApplicationPlacement> Place(const std::vector<PlacementApplication>& applications,
                                        const std::vector<PlacementDevice>& devices);

// Whether the constraint holds on this device; the reason where not.
std::optional<std::string> WhyNot(const Constraint& constraint, const PlacementDevice& device);

// A label or fact as a count of accelerators: a number, or 1 for another text ("coral"), 0 where it
// is not there or `false`.
double AcceleratorCount(const std::string* value);

}  // namespace selvedge
