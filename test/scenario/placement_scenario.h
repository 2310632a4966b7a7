#pragma once

// Text-driven tests of placement: manifests and devices in, verdicts out.
//
// A file of test/scenario/placement is
//
//   # what it shows
//   --- devices
//   jetson-1 arch=arm64 cores=6 | hardware=jetson      name, facts, and after | labels
//   pi-1 ?                                             known by name, but has not reported
//   --- manifest [CREATED_MS]
//   (YAML; every part is one file that was applied at that time, by default 0)
//   --- placed
//   safety-monitor on jetson-1
//   safety-monitor not on pi-1: hardware is pi, must be jetson; tpu is not there
//
// and every verdict must be listed, reasons in order. In place of `--- placed`, `--- refused` holds
// the message of the one manifest, which is called m.yaml.

#include <string>

#include "base/status.h"

namespace selvedge::scenario {

struct PlacementOutcome {
  bool passed = false;
  std::string report;  // expected and found, where they differ
};

Result<PlacementOutcome> RunPlacement(const std::string& path);

}  // namespace selvedge::scenario
