#pragma once

// The closing report of a run: for people and as JSON.

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "core/ledger.h"
#include "device/pipeline/pipeline.h"

namespace selvedge {

struct RunReport {
  std::string pipeline;
  std::string source;           // secrets masked
  std::string source_pipeline;  // as composed
  std::string model;            // name and version
  std::string engine;
  std::string engine_version;
  std::string device;
  std::string variant;
  std::string precision;
  int threads = 0;
  int workers = 0;
  std::string choice_reason;
  std::string choice_table;  // what the others measured; empty where nothing was tuned
  Ledger::Snapshot ledger;
  std::uint64_t corrupt = 0;
  std::uint64_t reconnects = 0;
  std::uint64_t detections = 0;
  std::uint64_t events = 0;
  std::uint64_t events_written = 0;  // lines, frame records included
  std::uint64_t events_lost = 0;
  std::string events_path;
  bool with_agent = false;
  std::uint64_t agent_events_committed = 0;  // that the agent has
  std::uint64_t agent_events_lost = 0;       // that it will never have
  double seconds = 0;                        // first to last decided frame
  double frames_per_second = 0;
  double cpu_ms_per_frame = 0;          // whole process
  double engine_cpu_ms_per_frame = 0;   // 0 where not metered
  double capture_cpu_ms_per_frame = 0;  // of the capture threads, where known
  double peak_rss_mib = 0;
  const PipelineLatencies* latencies = nullptr;
  std::string ended;  // "source ended", "stopped by SIGTERM", an error's sentence
};

std::string ToText(const RunReport& report);
// One object; names and units as in docs/formats/run-report.md.
std::string ToJson(const RunReport& report);

}  // namespace selvedge
