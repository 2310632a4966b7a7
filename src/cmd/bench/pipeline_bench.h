#pragma once

// `selvedge bench pipeline`: the real selvedge-run beside the engine alone and a plain Python loop,
// interleaved.

#include <string>

#include "base/status.h"
#include "cmd/bench/metric.h"

namespace selvedge {

struct PipelineBenchOptions {
  std::string pipeline = "examples/safety-monitor/pipeline.yaml";
  std::string source;        // replaces the pipeline file's: a video file, at least 500 frames
  std::string ground_truth;  // MOTChallenge labels of that video; empty: no accuracy
  std::string engine = "onnxruntime";
  std::string variant;  // empty: the card's first
  int workers = 0;      // 0: as many as usable processors
  int runs = 5;         // interleaved, of each
  int frames = 500;     // per real-time run
  std::string python = "python3";
  std::string python_loop = "test/bench/python_loop.py";
  std::string reference_loop = "test/reference/reference_loop.py";
  std::vector<std::string>
      only;  // groups: throughput, realtime, overload, around, memory, accuracy; empty: all
};

Result<BenchReport> BenchPipeline(const PipelineBenchOptions& options);

}  // namespace selvedge
