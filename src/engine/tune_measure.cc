#include "engine/tune_measure.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/cpu.h"
#include "base/file.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

constexpr int kWarmUpRuns = 3;
constexpr int kFewestRuns = 5;

// Nearest-rank percentile of unsorted values; 0 where there are none.
double Percentile(std::vector<double>* values, double fraction) {
  if (values->empty()) return 0;
  const auto rank =
      static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(values->size())));
  const auto at = values->begin() + static_cast<std::ptrdiff_t>(std::max(rank, std::size_t{1}) - 1);
  std::nth_element(values->begin(), at, values->end());
  return *at;
}

// Noise of the size that normalised pictures have: zeros would let sparse paths look fast.
void FillWithNoise(const TensorView& view) {
  std::minstd_rand random(1);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same for every candidate
  std::uniform_real_distribution<float> real(-1, 1);
  switch (view.type) {
    case DataType::kFloat32:
      for (float& v : view.As<float>()) v = real(random);
      return;
    case DataType::kUint8:
    case DataType::kInt8:
      for (std::uint8_t& v : view.As<std::uint8_t>()) v = static_cast<std::uint8_t>(random());
      return;
    case DataType::kInt32:
      for (std::int32_t& v : view.As<std::int32_t>()) v = static_cast<std::int32_t>(random() % 256);
      return;
    default: return;  // zeros: half floats, 64-bit integers (lengths, rates) and flags
  }
}

// Runs until `budget` is spent, at least kFewestRuns times; appends milliseconds of each Run.
Status RunFor(Execution& execution, Nanos budget, const Clock& clock, std::vector<double>* times) {
  const Nanos end = clock.Monotonic() + budget;
  for (int i = 0; i < kFewestRuns || clock.Monotonic() < end; ++i) {
    const Nanos start = clock.Monotonic();
    SELVEDGE_RETURN_IF_ERROR(execution.Run());
    times->push_back(ToMillis(clock.Monotonic() - start));
  }
  return OkStatus();
}

Status MeasureOneCaller(Execution& execution, Nanos budget, const Clock& clock,
                        TuneMeasurement* m) {
  std::vector<double> times;
  const Nanos cpu = ProcessCpuTime();
  const Nanos start = clock.Monotonic();
  SELVEDGE_RETURN_IF_ERROR(RunFor(execution, budget, clock, &times));
  const double seconds = ToSeconds(clock.Monotonic() - start);
  m->runs = static_cast<int>(times.size());
  m->cpu_ms = ToMillis(ProcessCpuTime() - cpu) / m->runs;
  m->throughput = seconds > 0 ? m->runs / seconds : 0;
  m->p50_ms = m->loaded_p50_ms = Percentile(&times, 0.5);
  m->p99_ms = m->loaded_p99_ms = Percentile(&times, 0.99);
  return OkStatus();
}

Status MeasureAllCallers(std::span<const std::unique_ptr<Execution>> executions, Nanos budget,
                         const Clock& clock, TuneMeasurement* m) {
  std::vector<std::vector<double>> times(executions.size());
  std::vector<Status> statuses(executions.size());
  const Nanos start = clock.Monotonic();
  {
    std::vector<std::jthread> callers;
    for (std::size_t i = 0; i < executions.size(); ++i) {
      callers.emplace_back(
          [&, i] { statuses[i] = RunFor(*executions[i], budget, clock, &times[i]); });
    }
  }
  const double seconds = ToSeconds(clock.Monotonic() - start);
  std::vector<double> all;
  for (std::size_t i = 0; i < executions.size(); ++i) {
    SELVEDGE_RETURN_IF_ERROR(statuses[i]);
    all.insert(all.end(), times[i].begin(), times[i].end());
  }
  m->throughput = seconds > 0 ? static_cast<double>(all.size()) / seconds : 0;
  m->loaded_p50_ms = Percentile(&all, 0.5);
  m->loaded_p99_ms = Percentile(&all, 0.99);
  return OkStatus();
}

}  // namespace

std::string CompiledModelsFolder() {
  return CacheFolder() + "/compiled";
}

Result<TuneMeasurement> MeasureCandidate(const TuneCandidate& candidate,
                                         std::span<EngineBackend* const> backends,
                                         const Clock& clock) {
  const auto backend = std::ranges::find(backends, candidate.engine, &EngineBackend::name);
  if (backend == backends.end()) {
    return Err(NotFoundError("there is no engine \"" + candidate.engine + "\""));
  }
  TuneMeasurement m = {.candidate = candidate};
  const Nanos load_start = clock.Monotonic();
  std::unique_ptr<Engine> engine;
  {
    SELVEDGE_ASSIGN_OR_RETURN(const std::string digest, DigestOfFile(candidate.model_path));
    SELVEDGE_ASSIGN_OR_RETURN(const MappedFile model,
                              MappedFile::Open(candidate.model_path, kMaxModelBytes));
    // What this compiles is kept for whoever runs the candidate that is chosen.
    SELVEDGE_ASSIGN_OR_RETURN(
        engine, (*backend)->Load(model.content(), {.threads = candidate.threads,
                                                   .callers = candidate.callers,
                                                   .device = candidate.device,
                                                   .input_shapes = candidate.input_shapes,
                                                   .cache_folder = CompiledModelsFolder(),
                                                   .model_digest = digest}));
  }
  m.load_ms = ToMillis(clock.Monotonic() - load_start);
  m.engine_version = engine->Describe().version;
  m.precision = engine->Describe().precision;
  std::vector<std::unique_ptr<Execution>> executions;
  for (int i = 0; i < candidate.callers; ++i) {
    SELVEDGE_ASSIGN_OR_RETURN(std::unique_ptr<Execution> execution, engine->NewExecution());
    for (const TensorView& input : execution->inputs()) FillWithNoise(input);
    for (int run = 0; run < kWarmUpRuns; ++run) SELVEDGE_RETURN_ERR_IF_ERROR(execution->Run());
    executions.push_back(std::move(execution));
  }
  const Nanos share = candidate.callers > 1 ? candidate.budget / 2 : candidate.budget;
  SELVEDGE_RETURN_ERR_IF_ERROR(MeasureOneCaller(*executions[0], share, clock, &m));
  if (candidate.callers > 1) {
    SELVEDGE_RETURN_ERR_IF_ERROR(MeasureAllCallers(executions, share, clock, &m));
  }
  return m;
}

Result<TuneMeasurement> InProcessRunner::Measure(const TuneCandidate& candidate, Nanos /*timeout*/,
                                                 const std::atomic<bool>* /*stop*/) {
  return MeasureCandidate(candidate, backends_);
}

}  // namespace selvedge
