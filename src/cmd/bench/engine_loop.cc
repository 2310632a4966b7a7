#include "cmd/bench/engine_loop.h"

#include <fmt/format.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "base/cpu.h"
#include "base/file.h"
#include "base/latency_histogram.h"
#include "cmd/cli/cli.h"
#include "engine/backends/backends.h"
#include "engine/engine.h"

namespace selvedge {
namespace {

constexpr int kWarmUpRuns = 10;
constexpr std::size_t kMaxModelBytes = std::size_t{2} << 30;

void SleepUntil(Nanos monotonic) {
  const timespec at = {.tv_sec = monotonic / kSecond, .tv_nsec = monotonic % kSecond};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) == EINTR) {
  }
}

// A picture of noise: constants let some kernels finish early.
void FillInput(const Execution& execution) {
  std::uint32_t state = 12345;
  for (const TensorView& input : execution.inputs()) {
    if (input.type == DataType::kFloat32) {
      for (float& value : input.As<float>()) {
        state = state * 1664525U + 1013904223U;
        value = static_cast<float>(state >> 8) / static_cast<float>(1 << 23) - 1.0F;
      }
    } else {
      std::memset(input.data, 0x55, input.bytes);
    }
  }
}

Result<std::unique_ptr<Engine>> LoadEngine(const EngineLoopOptions& options) {
  SELVEDGE_ASSIGN_OR_RETURN(const ModelCard card, ModelCard::Load(options.card_path));
  const ModelVariant* chosen = &card.variants.front();
  for (const ModelVariant& variant : card.variants) {
    if (variant.name == options.variant) chosen = &variant;
  }
  SELVEDGE_ASSIGN_OR_RETURN(const std::string bytes,
                            ReadFile(ResolvePath(chosen->path, options.card_path), kMaxModelBytes));
  EngineBackend* backend = FindBackend(options.engine);
  if (backend == nullptr) return Err(NotFoundError("no engine called " + options.engine));
  EngineOptions engine_options;
  engine_options.threads = options.threads;
  engine_options.callers = options.callers;
  return backend->Load(std::as_bytes(std::span(bytes)), engine_options);
}

}  // namespace

Result<EngineLoopResult> RunEngineLoop(const EngineLoopOptions& options) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadEngine(options));
  std::vector<std::unique_ptr<Execution>> executions;
  for (int i = 0; i < options.callers; ++i) {
    SELVEDGE_ASSIGN_OR_RETURN(auto execution, engine->NewExecution());
    FillInput(*execution);
    for (int run = 0; run < kWarmUpRuns; ++run) SELVEDGE_RETURN_ERR_IF_ERROR(execution->Run());
    executions.push_back(std::move(execution));
  }
  const Clock& clock = Clock::System();
  LatencyHistogram latency;
  std::atomic<bool> failed{false};
  const Nanos cpu_before = ProcessCpuTime();
  const Nanos start = clock.Monotonic();
  const Nanos end = start + FromSeconds(options.seconds);
  const Nanos period = options.fps > 0 ? FromSeconds(1 / options.fps) : 0;
  auto call = [&](Execution* execution) {
    for (Nanos due = start; clock.Monotonic() < end && !failed; due += period) {
      if (period > 0) SleepUntil(due);
      const Nanos before = clock.Monotonic();
      if (!execution->Run().ok()) failed = true;
      latency.Record(clock.Monotonic() - before);
    }
  };
  std::vector<std::thread> callers;
  callers.reserve(executions.size());
  for (const auto& execution : executions) callers.emplace_back(call, execution.get());
  for (std::thread& caller : callers) caller.join();
  if (failed) return Err(InternalError("the engine failed while it was measured"));
  const double seconds = ToSeconds(clock.Monotonic() - start);
  EngineLoopResult result;
  result.runs = latency.count();
  result.throughput = static_cast<double>(result.runs) / seconds;
  result.cpu_ms = ToMillis(ProcessCpuTime() - cpu_before) / static_cast<double>(result.runs);
  result.p50_ms = ToMillis(latency.Percentile(50));
  result.p99_ms = ToMillis(latency.Percentile(99));
  return result;
}

int EngineLoopMain(int argc, const char* const* argv) {
  CLI::App app("The engine alone, as a baseline. Example: selvedge bench engine-loop --card CARD");
  EngineLoopOptions options;
  app.add_option("--card", options.card_path)->required();
  app.add_option("--engine", options.engine);
  app.add_option("--variant", options.variant);
  app.add_option("--threads", options.threads);
  app.add_option("--callers", options.callers);
  app.add_option("--seconds", options.seconds);
  app.add_option("--fps", options.fps);
  if (const int code = cli::Parse(&app, argc, argv); code >= 0) return code;
  const Result<EngineLoopResult> result = RunEngineLoop(options);
  if (!result) return cli::Fail("bench engine-loop", result.error());
  const nlohmann::json object = {{"throughput", result->throughput},
                                 {"cpu_ms", result->cpu_ms},
                                 {"p50_ms", result->p50_ms},
                                 {"p99_ms", result->p99_ms},
                                 {"runs", result->runs}};
  fmt::print("{}\n", object.dump());
  return cli::kExitOk;
}

}  // namespace selvedge
