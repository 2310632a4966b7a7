#pragma once

// `selvedge bench fleet`: a real control plane, gateway and many real agents on this machine, with
// the fake engine, so that what is measured is the fleet and not the model.

#include "base/status.h"
#include "cmd/bench/metric.h"

namespace selvedge {

struct FleetBenchOptions {
  int agents = 100;
  int changes = 10;      // applied one after the other
  int known = 1000;      // devices that the control plane knows, those above included
  double seconds = 20;   // of events, and of idling
  int event_agents = 3;  // whose pipelines make events, one a second each
};

// Metrics: `apply_p50_s`, `apply_p99_s` (from the call of apply until a device's report of the new
// generation is in the control plane, over every device and change), `event_p50_ms`, `event_p99_ms`
// (capture to a listener of the control plane's stream), `agent_rss_mib`, `agent_cpu_percent`
// (idle, of one processor), `gateway_rss_mib`, `cloud_rss_mib`, `cloud_rss_mib_1000_devices`.
Result<BenchReport> BenchFleet(const FleetBenchOptions& options);

}  // namespace selvedge
