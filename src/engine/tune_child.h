#pragma once

// Measures tune's candidates in child processes.
//
// The child is an executable of ours started as `EXECUTABLE --tune-candidate JSON`; it prints one
// measurement as JSON on the last line of its standard output (engines may print before) and exits
// 0, or says on standard error why not and exits otherwise. It ends with its parent. What the child
// prints is read with limits and checked: a child that crashes, hangs or prints rubbish is an error
// of that candidate.

#include <atomic>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/status.h"
#include "engine/engine.h"
#include "engine/tune.h"

namespace selvedge {

inline constexpr std::string_view kTuneCandidateFlag = "--tune-candidate";

class ChildRunner : public CandidateRunner {
 public:
  // `executable` empty: the one that is running (/proc/self/exe).
  explicit ChildRunner(std::string executable = {}) : executable_(std::move(executable)) {}
  Result<TuneMeasurement> Measure(const TuneCandidate& candidate, Nanos timeout,
                                  const std::atomic<bool>* stop) override;

 private:
  std::string executable_;
};

// The child's side, for main(): true where the arguments are those that ChildRunner gives.
bool IsTuneCandidateCall(int argc, const char* const* argv);
// Measures what argv[2] says and prints it; the process's exit code.
int ServeTuneCandidate(const char* candidate_json, std::span<EngineBackend* const> backends);

}  // namespace selvedge
