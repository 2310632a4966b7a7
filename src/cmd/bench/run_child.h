#pragma once

// Children of the benchmarks, with their JSON read: selvedge-run, the engine alone, the Python
// loops.

#include <string>
#include <vector>

#include "base/status.h"
#include "cmd/bench/engine_loop.h"

namespace selvedge {

struct PipelineRun {
  double fps = 0;
  double cpu_ms = 0;         // process CPU per captured frame
  double engine_cpu_ms = 0;  // of it inside the engine; 0 where not metered
  double p50_ms = 0;
  double p99_ms = 0;
  double rss_mib = 0;
  double dropped = 0;
  double frames = 0;
  std::vector<std::pair<std::string, double>> stage_ms;  // mean per stage, wall
  double capture_cpu_ms = 0;                             // CPU of the capture threads per frame
};

// `arguments` go behind `selvedge-run PIPELINE --json --quiet --no-http`.
Result<PipelineRun> RunPipelineChild(const std::string& pipeline,
                                     const std::vector<std::string>& arguments,
                                     const std::vector<int>& cpus = {});

Result<EngineLoopResult> RunEngineChild(const EngineLoopOptions& options);

// Runs a Python program that prints one JSON object; returns the number under `key`.
Result<double> RunPythonChild(const std::vector<std::string>& arguments, const std::string& key);

// Folder for what the children write; made at the first call, removed at exit.
const std::string& ScratchFolder();

}  // namespace selvedge
