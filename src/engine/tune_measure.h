#pragma once

// Measures one candidate of tune in this process: what the child process does, and tests do
// directly.
//
// Failure: that of reading the model, of Load, of NewExecution or of the first Run.

#include <atomic>
#include <span>

#include "base/clock.h"
#include "base/status.h"
#include "engine/engine.h"
#include "engine/tune.h"

namespace selvedge {

// Largest model that is read; no format here goes further.
inline constexpr std::size_t kMaxModelBytes = std::size_t{2} << 30;

// Where engines keep what they compiled, on this machine: EngineOptions::cache_folder.
std::string CompiledModelsFolder();

Result<TuneMeasurement> MeasureCandidate(const TuneCandidate& candidate,
                                         std::span<EngineBackend* const> backends,
                                         const Clock& clock = Clock::System());

// Runs candidates where it is called; for tests, and where no process can be started.
class InProcessRunner : public CandidateRunner {
 public:
  explicit InProcessRunner(std::vector<EngineBackend*> backends) : backends_(std::move(backends)) {}
  Result<TuneMeasurement> Measure(const TuneCandidate& candidate, Nanos timeout,
                                  const std::atomic<bool>* stop) override;

 private:
  std::vector<EngineBackend*> backends_;
};

}  // namespace selvedge
