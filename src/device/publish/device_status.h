#pragma once

// What a pipeline says about itself over HTTP: /healthz, /readyz, /metrics, /api/status and
// /api/results.
//
// No pictures: those are the live view's (live_view.h), which has to be switched on.
// Providers are called on the server's I/O thread, must be quick and thread-safe, and must live
// until the server stopped.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "core/ledger.h"
#include "net/http_server.h"

namespace selvedge {

struct PipelineStatus {
  enum class Source { kStarting, kRunning, kReconnecting, kEnded, kFailed };

  std::string pipeline;
  std::string device;
  std::string source;  // URI; secrets are masked when shown
  Source source_state = Source::kStarting;
  std::string source_detail;  // one sentence where it is not running, else empty
  double uptime_seconds = 0;
  double last_frame_age_seconds = -1;  // since the newest decided frame; -1 before the first
  double frames_per_second = 0;        // decided, over the last seconds
  double latency_p50_ms = 0;           // capture to decision; 0 before the first frame
  double latency_p90_ms = 0;
  double latency_p99_ms = 0;
  Ledger::Snapshot ledger;
  std::string model;                                // name and version
  std::string engine;                               // "onnxruntime"; empty before the choice
  std::string variant;                              // "fp32"
  std::string precision;                            // in effect
  int threads = 0;                                  // per inference
  int workers = 0;                                  // inferences at the same time
  std::string choice_reason;                        // tune's sentence
  std::vector<std::pair<std::string, int>> counts;  // tracks in view, by label
  std::uint64_t events_written = 0;
  std::uint64_t events_lost = 0;
  std::string privacy;  // the policy in effect
};

struct Readiness {
  bool ready = false;
  std::string reason;  // one sentence, where not
};

// Ready: a frame was decided within `max_age` seconds, or the source ended as files do.
Readiness ReadinessOf(const PipelineStatus& status, double max_age_seconds = 10);

struct DeviceStatusProviders {
  std::function<std::string()> metrics;  // OpenMetrics text: MetricsRegistry::Render
  std::function<PipelineStatus()> status;
  // The last rule events, oldest first, each one a line of JSON.
  std::function<std::vector<std::string>()> results;
};

// Adds /healthz, /readyz, /metrics, /api/status and /api/results. A provider that is missing leaves
// its routes out.
void AddDeviceStatus(HttpServer* server, DeviceStatusProviders providers);

// One JSON object; format: docs/guide/live-view.md.
std::string ToJson(const PipelineStatus& status);
// The same metrics in the classic text format 0.0.4, for scrapers that do not read OpenMetrics.
std::string ToClassicMetrics(std::string_view open_metrics);

}  // namespace selvedge
