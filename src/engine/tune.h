#pragma once

// Tune: on the device itself, measures which engine runs which variant of a model with how many
// threads, and chooses.
//
// Candidates are engine x variant x (threads, callers). Each is measured by a CandidateRunner,
// normally in a child process (tune_child.h), so that an engine's memory never counts in the
// caller's and an engine that crashes is one candidate fewer. What was measured is kept as a JSON
// file in the cache folder under a digest of everything that it depends on (the variants' files,
// the hardware, the engines' versions, the options), so that a change of any of them measures anew;
// the choice itself is made afresh each time, by Choose, a pure function.
//
// Threads: Tune blocks for up to `TuneOptions::budget` and a little; one call at a time per model
// is enough. Failure: NotFound where a variant's file is missing; FailedPrecondition where no
// engine on this machine reads any variant or no candidate ran (saying why for each); Cancelled
// where `stop` was set.

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "core/model_card.h"
#include "engine/engine.h"

namespace selvedge {

// What is to be measured.
struct TuneCandidate {
  std::string engine;
  std::string device = "cpu";
  std::string variant;
  std::string model_path;
  int threads = 1;  // EngineOptions::threads
  int callers = 1;  // Executions at the same time
  std::vector<Shape> input_shapes;
  Nanos budget = kSecond;  // for the measured Runs; loading and warming up come on top

  // "onnxruntime fp32, 1 thread x 2 callers".
  std::string ToString() const;
};

// What was measured. Times are of Execution::Run alone.
struct TuneMeasurement {
  TuneCandidate candidate;
  std::string error;  // why there is no measurement; empty where there is one
  std::string engine_version;
  std::string precision;  // in effect
  double load_ms = 0;
  int runs = 0;                 // with one caller
  double p50_ms = 0;            // with one caller
  double p99_ms = 0;            // with one caller
  double cpu_ms = 0;            // processor time per inference, with one caller
  double throughput = 0;        // inferences per second, with `callers` callers
  double loaded_p50_ms = 0;     // with `callers` callers
  double loaded_p99_ms = 0;     // with `callers` callers
  std::int64_t peak_bytes = 0;  // of the measuring process; 0 where it was not one of its own

  bool ok() const { return error.empty(); }
};

struct TuneObjective {
  double slo_p99_ms = 0;  // with the candidate's callers; 0: none
  // How much worse than the reference variant (the card's first) a variant may be, in the unit of
  // the card's accuracy metric. 1 allows anything, even variants whose accuracy nobody measured.
  double max_accuracy_drop = 0.01;
  double wanted_fps = 0;    // throughput to keep up with; 0: none
  double max_peak_mib = 0;  // of the measuring process: engine, model and little else; 0: any
  bool prefer_throughput =
      false;  // as fast as it goes: highest throughput rather than lowest latency
};

struct TuneChoice {
  int index = -1;  // into the measurements; -1 where none ran
  bool meets_objective = false;
  std::string why;  // one sentence
  std::vector<std::string>
      verdicts;  // one per measurement: why it was not chosen, "chosen" for the one
};

// Of the candidates that hold the accuracy floor, the p99 objective and the wanted throughput, the
// one with the lowest median latency; among those within 3 % of it the one with the least processor
// time, then the fewest callers. Where none holds all, the one that comes nearest without giving up
// accuracy. Pure.
TuneChoice Choose(const std::vector<TuneMeasurement>& measurements,
                  const std::vector<ModelVariant>& variants, const TuneObjective& objective);

struct TuneReport {
  std::vector<TuneMeasurement> measurements;
  TuneChoice choice;
  TuneObjective objective;
  std::string key;       // what the cache knows it by, "sha256:…"
  std::string hardware;  // the processor's fingerprint
  int cpus = 1;          // that this process may use
  bool from_cache = false;
  double seconds = 0;  // that measuring took

  const TuneMeasurement& chosen() const {
    return measurements[static_cast<std::size_t>(choice.index)];
  }
};

class CandidateRunner {
 public:
  virtual ~CandidateRunner() = default;
  // Loads, warms up, measures for about `candidate.budget` and gives up after `timeout`. An error
  // is that candidate's failure, with its reason. `stop` may be null.
  virtual Result<TuneMeasurement> Measure(const TuneCandidate& candidate, Nanos timeout,
                                          const std::atomic<bool>* stop) = 0;
};

struct TuneProgress {
  int done = 0;  // candidates measured or passed over
  int total = 0;
  const TuneCandidate* current = nullptr;  // null at the end
};

struct TuneOptions {
  TuneObjective objective;
  // What the user has settled; empty or 0 is left to tune.
  std::string engine;
  std::string variant;
  int threads = 0;
  int callers = 0;
  std::string device = "cpu";
  std::vector<Shape> input_shapes;
  Nanos budget = 20 * kSecond;  // for all candidates together
  std::vector<EngineBackend*> backends;
  int cpus = 0;              // 0: UsableCpus()
  std::string cache_folder;  // empty: CacheFolder() + "/tune"
  bool use_cache = true;     // false measures in any case, and keeps the result
  const std::atomic<bool>* stop = nullptr;
  std::function<void(const TuneProgress&)> progress;
  const Clock* clock = &Clock::System();
};

// `card_path` is where the card was read from: its variants' paths are relative to it.
Result<TuneReport> Tune(const ModelCard& card, const std::string& card_path,
                        const TuneOptions& options, CandidateRunner& runner);

// The candidates of Tune, most promising first: each engine and variant with one thread and one
// caller, then the other ways to divide the processors. Pure; `backends` are those that are there.
std::vector<TuneCandidate> TuneCandidates(const ModelCard& card, const std::string& card_path,
                                          const TuneOptions& options,
                                          const std::vector<EngineBackend*>& backends, int cpus);

// A table for people, one line a candidate, best first, the chosen one marked; ends with the
// reason.
std::string ToTable(const TuneReport& report);

}  // namespace selvedge
