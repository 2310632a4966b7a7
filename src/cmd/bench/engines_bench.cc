#include "cmd/bench/engines_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/cpu.h"
#include "base/file.h"
#include "cmd/bench/run_child.h"
#include "core/model_card.h"
#include "engine/backends/backends.h"

namespace selvedge {
namespace {

struct Candidate {
  std::string engine;
  std::string variant;
  int threads = 1;
  int callers = 1;
  std::vector<double> p50;
  std::vector<double> cpu;
  std::vector<double> throughput;
};

std::vector<Candidate> Candidates(const ModelCard& card, const std::string& card_path) {
  std::set<int> threads = {1, UsableCpus()};
  std::vector<Candidate> candidates;
  for (EngineBackend* backend : AllBackends()) {
    if (backend->name() == "fake" || !backend->Probe()) continue;
    for (const ModelVariant& variant : card.variants) {
      const std::string path = ResolvePath(variant.path, card_path);
      const bool allowed =
          variant.engines.empty() ||
          std::ranges::find(variant.engines, backend->name()) != variant.engines.end();
      if (!allowed || !backend->Reads(path)) continue;
      for (const int count : threads) {
        candidates.push_back({.engine = std::string(backend->name()),
                              .variant = variant.name,
                              .threads = count,
                              .callers = 1});
      }
      if (UsableCpus() > 1) {
        candidates.push_back({.engine = std::string(backend->name()),
                              .variant = variant.name,
                              .threads = 1,
                              .callers = UsableCpus()});
      }
    }
  }
  return candidates;
}

}  // namespace

Result<BenchReport> BenchEngines(const EnginesBenchOptions& options) {
  SELVEDGE_ASSIGN_OR_RETURN(const ModelCard card, ModelCard::Load(options.card));
  std::vector<Candidate> candidates = Candidates(card, options.card);
  BenchReport report{.bench = "engines"};
  for (int run = 0; run < options.runs; ++run) {
    fmt::print(stderr, "run {} of {} ...\n", run + 1, options.runs);
    for (Candidate& c : candidates) {
      EngineLoopOptions loop;
      loop.card_path = options.card;
      loop.engine = c.engine;
      loop.variant = c.variant;
      loop.threads = c.threads;
      loop.callers = c.callers;
      loop.seconds = options.seconds;
      const Result<EngineLoopResult> result = RunEngineChild(loop);
      if (!result) {
        if (run == 0) {
          report.skipped.push_back(c.engine + " " + c.variant + ": " + result.error().message());
        }
        continue;
      }
      c.p50.push_back(result->p50_ms);
      c.cpu.push_back(result->cpu_ms);
      c.throughput.push_back(result->throughput);
    }
  }
  for (const Candidate& c : candidates) {
    if (c.p50.empty()) continue;
    const Candidate& first = candidates.front();
    const std::string name = fmt::format("{}_{}_{}x{}t", c.engine, c.variant, c.callers, c.threads);
    auto add = [&](const std::string& what, const std::string& unit,
                   const std::vector<double>& values, const std::vector<double>& baseline) {
      Metric metric = FromRuns(name + what, unit, values);
      const Metric ratio = RatioOfRuns(name, values, baseline, first.engine);
      metric.baseline = ratio.baseline;
      metric.ratio = ratio.value;
      metric.baseline_of = fmt::format("{} {} 1x1t", first.engine, first.variant);
      metric.note = fmt::format("ratio {:.2f}", metric.ratio);
      report.metrics.push_back(std::move(metric));
    };
    add("_p50_ms", "ms", c.p50, first.p50);
    add("_cpu_ms", "ms", c.cpu, first.cpu);
    add("_throughput", "1/s", c.throughput, first.throughput);
  }
  if (report.metrics.empty()) {
    return Err(NotFoundError("no engine here runs a variant of " + options.card +
                             "; see selvedge inspect"));
  }
  return report;
}

}  // namespace selvedge
