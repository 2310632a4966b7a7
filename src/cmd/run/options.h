#pragma once

// The arguments of `selvedge run`, and how they change what the pipeline file says.

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "cmd/cli/cli.h"
#include "device/pipeline/pipeline_config.h"

namespace selvedge {

struct RunOptions {
  std::string pipeline_file;
  std::string source;                // replaces source.uri
  std::string events;                // replaces events.path
  std::string engine;                // replaces model.engine
  std::string variant;               // replaces model.variant
  int threads = 0;                   // replaces model.threads
  int workers = 0;                   // replaces model.workers
  std::string card;                  // replaces model.card
  double confidence_threshold = -1;  // replaces confidence_threshold
  int port = -1;                     // replaces http.port
  std::string address;               // replaces http.address
  bool live_view = false;            // switches http.live_view on
  bool no_http = false;
  std::string agent;        // the agent's socket; empty: no agent
  std::string application;  // names in the fleet, for the agent and for events
  std::string service;
  std::string device;    // replaces device
  bool engines = false;  // tell which engines are here, and nothing else
  bool version = false;  // tell the version, and nothing else
  bool as_fast_as_possible = false;
  bool every_frame = false;
  bool loop = false;
  double speed = 0;    // replaces source.speed
  bool meter = false;  // count the engine's processor time, for benchmarks
  bool retune = false;
  bool quiet = false;
  bool json = false;         // the report on stdout as one JSON object
  std::string report;        // and to this file
  std::uint64_t frames = 0;  // stop after so many decided frames; 0: at the end
  double duration = 0;       // stop after so many seconds; 0: at the end
};

// Fills *options and configures logging. -1 to go on, else the exit code to leave with (--version
// and --engines are answered here).
int ParseRunOptions(int argc, const char* const* argv, RunOptions* options);

// The pipeline file with the arguments applied.
Result<PipelineConfig> LoadConfig(const RunOptions& options);

}  // namespace selvedge
