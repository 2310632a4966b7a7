#pragma once

// `selvedge bench engines`: every engine that reads one of a card's variants, with every sensible
// number of threads, interleaved.

#include <string>
#include <vector>

#include "base/status.h"
#include "cmd/bench/metric.h"

namespace selvedge {

struct EnginesBenchOptions {
  std::string card = "assets/models/person-ssdlite.card.yaml";
  int runs = 5;
  double seconds = 2;  // per run
};

// Metrics `<engine>_<variant>_<threads>t_p50_ms` (baseline: ONNX Runtime, first variant, one
// thread), `…_cpu_ms`, and `…_throughput` with as many callers as usable processors.
Result<BenchReport> BenchEngines(const EnginesBenchOptions& options);

}  // namespace selvedge
