#include "engine/tune.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <utility>

#include "base/cpu.h"
#include "base/file.h"
#include "base/log.h"
#include "engine/tune_json.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

// An engine and variant this much slower than the best with one thread will not catch up with more.
constexpr double kHopeless = 2.5;
constexpr Nanos kShortestShare = 300 * kMillisecond;
constexpr Nanos kLongestShare = 3 * kSecond;
constexpr Nanos kShortestTimeout = 10 * kSecond;  // a slow device needs seconds to load an engine
constexpr std::size_t kMostCacheBytes = 4 << 20;

bool Allows(const ModelVariant& variant, std::string_view engine) {
  return variant.engines.empty() ||
         std::ranges::find(variant.engines, engine) != variant.engines.end();
}

// How to divide `cpus` processors into callers of some threads each; (1, 1) first.
std::vector<std::pair<int, int>> Divisions(const TuneOptions& options, int cpus) {
  constexpr int kMostThreads = 16;  // beyond it one small model gains nothing
  std::vector<std::pair<int, int>> divisions;
  const auto add = [&](int threads, int callers) {
    if (options.threads > 0) threads = options.threads;
    if (options.callers > 0) callers = options.callers;
    const std::pair<int, int> division(threads, callers);
    if (std::ranges::find(divisions, division) == divisions.end()) divisions.push_back(division);
  };
  add(1, 1);
  const int most = std::clamp(cpus, 1, kMostThreads);
  for (int threads = 1; threads <= most; threads *= 2) {
    add(threads, std::max(1, most / threads));
    add(threads, 1);
  }
  add(most, 1);
  return divisions;
}

struct Available {
  std::vector<EngineBackend*> backends;
  std::map<std::string, std::string> identities;
  std::string missing;  // why others are not there
};

// Backends that read one of the card's variants and are on this machine.
Available FindBackends(const ModelCard& card, const TuneOptions& options) {
  Available available;
  for (EngineBackend* backend : options.backends) {
    if (!options.engine.empty() && backend->name() != options.engine) continue;
    const bool reads = std::ranges::any_of(card.variants, [&](const ModelVariant& variant) {
      return backend->Reads(variant.path) && Allows(variant, backend->name());
    });
    if (!reads) continue;
    // Not by Probe: the libraries of engines that are not chosen shall not lie in this process.
    if (std::string identity = backend->Identity(); !identity.empty()) {
      available.backends.push_back(backend);
      available.identities.emplace(backend->name(), std::move(identity));
    } else if (Result<std::string> version = backend->Probe(); !version) {
      available.missing += "; " + version.error().message();
    }
  }
  return available;
}

// Everything that a measurement depends on, as JSON; its digest is the cache key.
Result<std::string> KeyFacts(const ModelCard& card, const std::string& card_path,
                             const TuneOptions& options, const Available& available, int cpus) {
  nlohmann::json variants = nlohmann::json::array();
  for (const ModelVariant& variant : card.variants) {
    SELVEDGE_ASSIGN_OR_RETURN(const std::string digest,
                              DigestOfFile(ResolvePath(variant.path, card_path)));
    variants.push_back({{"name", variant.name}, {"digest", digest}, {"engines", variant.engines}});
  }
  std::string shapes;
  for (const Shape& shape : options.input_shapes) shapes += shape.ToString();
  const nlohmann::json facts = {{"variants", std::move(variants)},
                                {"engines", available.identities},
                                {"architecture", MachineArchitecture()},
                                {"processor", CpuFingerprint()},
                                {"cpus", cpus},
                                {"engine", options.engine},
                                {"variant", options.variant},
                                {"threads", options.threads},
                                {"callers", options.callers},
                                {"device", options.device},
                                {"input_shapes", shapes}};
  return facts.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string CachePath(const TuneOptions& options, std::string_view key) {
  const std::string folder =
      options.cache_folder.empty() ? CacheFolder() + "/tune" : options.cache_folder;
  return folder + "/" + std::string(key.substr(key.find(':') + 1)) + ".json";
}

bool ReadCache(const std::string& path, const std::string& key_facts,
               std::vector<TuneMeasurement>* measurements) {
  Result<std::string> text = ReadFile(path, kMostCacheBytes);
  if (!text) return false;  // most often: never measured
  Result<std::vector<TuneMeasurement>> read = CacheFromJson(*text, key_facts);
  if (!read) {
    log::Warning("tune", "cached measurement not used",
                 {{"path", path}, {"reason", read.error().message()}});
    return false;
  }
  *measurements = *std::move(read);
  return true;
}

void WriteCache(const std::string& path, const std::string& key_facts,
                const std::vector<TuneMeasurement>& measurements) {
  std::error_code ignored;  // a folder that cannot be made fails the write, which says so
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  if (Status status = WriteFileAtomically(path, CacheToJson(key_facts, measurements));
      !status.ok()) {
    log::Warning("tune", "measurement not kept, the next start measures again",
                 {{"reason", status.message()}});
  }
}

class Measuring {
 public:
  Measuring(const TuneOptions& options, CandidateRunner& runner, std::size_t candidates)
      : options_(options),
        runner_(runner),
        start_(options.clock->Monotonic()),
        total_(static_cast<int>(candidates)),
        // A third of the time goes into starting, loading and warming up.
        share_(
            std::clamp(options.budget / std::max<Nanos>(1, static_cast<Nanos>(candidates)) * 2 / 3,
                       kShortestShare, kLongestShare)) {}

  Result<std::vector<TuneMeasurement>> All(std::vector<TuneCandidate> candidates) {
    for (TuneCandidate& candidate : candidates) {
      if (Stopped()) return Err(CancelledError("stopped while measuring engines"));
      candidate.budget = share_;
      Report(&candidate);
      measurements_.push_back(One(candidate));
    }
    if (Stopped()) return Err(CancelledError("stopped while measuring engines"));
    Report(nullptr);
    return std::move(measurements_);
  }

  double Seconds() const { return ToSeconds(options_.clock->Monotonic() - start_); }

 private:
  bool Stopped() const { return options_.stop != nullptr && options_.stop->load(); }

  void Report(const TuneCandidate* current) const {
    if (!options_.progress) return;
    options_.progress(
        {.done = static_cast<int>(measurements_.size()), .total = total_, .current = current});
  }

  TuneMeasurement One(const TuneCandidate& candidate) {
    TuneMeasurement skipped = {.candidate = candidate};
    skipped.error = Hopeless(candidate);
    if (!skipped.error.empty()) return skipped;
    const Nanos left = options_.budget - (options_.clock->Monotonic() - start_);
    // The first ones are measured however slow the machine is: something must be chosen.
    if (left < kShortestShare && Measured()) {
      skipped.error = "not measured: the time was used up";
      return skipped;
    }
    Result<TuneMeasurement> measured =
        runner_.Measure(candidate, std::max(left, kShortestTimeout), options_.stop);
    if (measured) return *std::move(measured);
    skipped.error = measured.error().message();
    return skipped;
  }

  bool Measured() const { return std::ranges::any_of(measurements_, &TuneMeasurement::ok); }

  // Whether the same engine and variant failed, or was far behind, with one thread.
  std::string Hopeless(const TuneCandidate& candidate) const {
    double best = 1e300;
    const TuneMeasurement* single = nullptr;
    for (const TuneMeasurement& m : measurements_) {
      const TuneCandidate& c = m.candidate;
      if (c.threads != 1 || c.callers != 1) continue;
      if (m.ok()) best = std::min(best, m.p50_ms);
      if (c.engine == candidate.engine && c.variant == candidate.variant) single = &m;
    }
    if (single == nullptr) return {};
    if (!single->ok()) return "not measured: it failed with one thread";
    if (single->p50_ms <= best * kHopeless) return {};
    return "not measured: with one thread it was " +
           std::to_string(std::lround(single->p50_ms / best)) + " times slower than the best";
  }

  const TuneOptions& options_;
  CandidateRunner& runner_;
  Nanos start_;
  int total_;
  Nanos share_;
  std::vector<TuneMeasurement> measurements_;
};

Status NothingRan(const std::vector<TuneMeasurement>& measurements, const Available& available) {
  std::string reasons;
  for (const TuneMeasurement& m : measurements) {
    if (m.candidate.threads == measurements[0].candidate.threads &&
        m.candidate.callers == measurements[0].candidate.callers) {
      reasons += "; " + m.candidate.ToString() + ": " + m.error;
    }
  }
  return FailedPreconditionError("no engine on this machine runs the model" + reasons +
                                 available.missing);
}

}  // namespace

std::vector<TuneCandidate> TuneCandidates(const ModelCard& card, const std::string& card_path,
                                          const TuneOptions& options,
                                          const std::vector<EngineBackend*>& backends, int cpus) {
  std::vector<TuneCandidate> candidates;
  for (const auto& [threads, callers] : Divisions(options, cpus)) {
    for (const ModelVariant& variant : card.variants) {
      if (!options.variant.empty() && variant.name != options.variant) continue;
      for (const EngineBackend* backend : backends) {
        if (!backend->Reads(variant.path) || !Allows(variant, backend->name())) continue;
        candidates.push_back({.engine = std::string(backend->name()),
                              .device = options.device,
                              .variant = variant.name,
                              .model_path = ResolvePath(variant.path, card_path),
                              .threads = threads,
                              .callers = callers,
                              .input_shapes = options.input_shapes});
      }
    }
  }
  return candidates;
}

Result<TuneReport> Tune(const ModelCard& card, const std::string& card_path,
                        const TuneOptions& options, CandidateRunner& runner) {
  TuneReport report = {.objective = options.objective,
                       .hardware = MachineArchitecture() + " " + CpuFingerprint(),
                       .cpus = options.cpus > 0 ? options.cpus : UsableCpus()};
  const Available available = FindBackends(card, options);
  std::vector<TuneCandidate> candidates =
      TuneCandidates(card, card_path, options, available.backends, report.cpus);
  if (candidates.empty()) {
    return Err(FailedPreconditionError("no engine on this machine reads any variant of model " +
                                       card.name + available.missing));
  }
  SELVEDGE_ASSIGN_OR_RETURN(const std::string facts,
                            KeyFacts(card, card_path, options, available, report.cpus));
  SELVEDGE_ASSIGN_OR_RETURN(report.key, DigestOf(std::string_view(facts)));
  const std::string cache_path = CachePath(options, report.key);
  report.from_cache = options.use_cache && ReadCache(cache_path, facts, &report.measurements);
  if (!report.from_cache) {
    Measuring measuring(options, runner, candidates.size());
    SELVEDGE_ASSIGN_OR_RETURN(report.measurements, measuring.All(std::move(candidates)));
    report.seconds = measuring.Seconds();
  }
  report.choice = Choose(report.measurements, card.variants, options.objective);
  if (report.choice.index < 0) return Err(NothingRan(report.measurements, available));
  if (!report.from_cache) WriteCache(cache_path, facts, report.measurements);
  return report;
}

}  // namespace selvedge
