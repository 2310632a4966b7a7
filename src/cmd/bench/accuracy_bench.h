#pragma once

// Is accuracy lost on the way? The pipeline's AP50 beside that of a plain Python loop on the same
// frames.

#include <string>
#include <vector>

#include "base/status.h"
#include "cmd/bench/metric.h"
#include "core/model_card.h"

namespace selvedge {

struct AccuracyBenchOptions {
  std::string pipeline;
  std::vector<std::string> arguments;  // for selvedge-run
  std::string events;                  // in ScratchFolder(), where the arguments have it written
  std::string source;
  ModelDecoder decoder;      // thresholds, for the reference to use the same
  std::string model;         // the reference variant's file
  std::string ground_truth;  // MOTChallenge
  std::string python;
  std::string reference_loop;
};

// ap50_delta (the promise), ap50, ap50_reference.
Result<std::vector<Metric>> BenchAccuracy(const AccuracyBenchOptions& options);

}  // namespace selvedge
