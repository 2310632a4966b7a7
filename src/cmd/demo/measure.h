#pragma once

// What the demo measured, read from the control plane's API as anybody could, and how it is told.

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "cmd/demo/fleet.h"

namespace selvedge::demo {

// Bytes that crossed the gateway's link to the cloud, TCP and IP headers included.
struct Uplink {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
};

// The sum of the samples of an OpenMetrics metric, whatever their labels; 0 where it is not there.
double MetricSum(const std::string& text, const std::string& name);
Uplink UplinkOf(const std::string& gateway_metrics);

// The events that the cloud has, counted by walking the whole list.
struct EventCount {
  std::uint64_t rows = 0;
  std::uint64_t distinct = 0;  // ids
  std::map<std::string, std::uint64_t> by_device;
  std::uint64_t caught_up = 0;    // captured by `device` between `from` and `until`, received later
  std::vector<double> delays_ms;  // capture to the cloud's commit, of all that were not held up so
};
struct Outage {
  std::string device;
  std::int64_t from_unix_ms = 0;
  std::int64_t until_unix_ms = 0;
};
Result<EventCount> CountEvents(Fleet* fleet, const Outage& outage);

// Nearest rank, `share` in 0..1; 0 of nothing.
double Quantile(std::vector<double> values, double share);

struct DeviceResult {
  std::string name;
  std::string hardware;
  std::uint64_t accepted = 0;  // by its outbox
  std::uint64_t dropped = 0;   // over its cap
  std::uint64_t waiting = 0;
  nlohmann::json services;  // as the API has them
};
Result<std::vector<DeviceResult>> ReadDevices(Fleet* fleet);

struct Measured {
  std::vector<DeviceResult> devices;  // while everything ran
  std::vector<DeviceResult> drained;  // after everything was delivered
  EventCount events;
  Outage outage;
  double up_seconds = 0;               // start to a control plane that answers
  double first_detection_seconds = 0;  // start to the first event in the cloud
  double watched_seconds = 0;          // over which the uplink was measured
  Uplink uplink;                       // in that time
  double h264_bytes_per_second = 0;    // of one camera; 0: not known for this source
  int cameras = 0;
};

// {"bench": "demo", "machine": …, "metrics": {…}}.
nlohmann::json ReportJson(const Measured& measured);
// The closing page.
std::string ReportText(const Measured& measured, const std::string& url);

}  // namespace selvedge::demo
