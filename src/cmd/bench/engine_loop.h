#pragma once

// The engine alone: the baseline that a pipeline is measured against.

#include <string>

#include "base/clock.h"
#include "base/status.h"
#include "core/model_card.h"

namespace selvedge {

struct EngineLoopOptions {
  std::string card_path;
  std::string engine = "onnxruntime";
  std::string variant;  // empty: the first
  int threads = 1;
  int callers = 1;
  double seconds = 5;
  double fps = 0;  // runs begin at this pace (one caller); 0: one after the other
};

struct EngineLoopResult {
  double throughput = 0;  // runs a second, all callers
  double cpu_ms = 0;      // process CPU per run
  double p50_ms = 0;
  double p99_ms = 0;
  std::uint64_t runs = 0;
};

Result<EngineLoopResult> RunEngineLoop(const EngineLoopOptions& options);

// The hidden verb `selvedge bench engine-loop`: the same in a process of its own, one JSON object
// on stdout.
int EngineLoopMain(int argc, const char* const* argv);

}  // namespace selvedge
