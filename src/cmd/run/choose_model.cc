#include "cmd/run/choose_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/cpu.h"
#include "base/file.h"
#include "cmd/cli/cli.h"
#include "engine/backends/backends.h"
#include "engine/tune.h"
#include "engine/tune_child.h"
#include "engine/tune_measure.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

struct Settled {
  std::string engine;
  const ModelVariant* variant = nullptr;
  int threads = 1;
  int workers = 1;
};

Result<Settled> FromTune(const PipelineConfig& config, const ModelChoiceFlags& flags,
                         LoadedModel* loaded) {
  TuneOptions options;
  options.objective.slo_p99_ms = config.slo_p99_ms;
  options.objective.max_accuracy_drop = config.model.max_accuracy_drop;
  options.objective.wanted_fps = config.slo_fps;
  options.objective.prefer_throughput = !config.source.realtime;
  options.engine = config.model.engine;
  options.variant = config.model.variant;
  options.threads = config.model.threads;
  options.callers = config.model.workers;
  options.budget = config.model.tune_time;
  options.backends = AllBackends();
  options.use_cache = !flags.retune;
  options.stop = flags.stop;
  cli::StatusLine line;
  if (!flags.quiet) {
    options.progress = [&](const TuneProgress& progress) {
      line.Show(fmt::format("measuring what suits this machine, once: {}/{} {}", progress.done,
                            progress.total,
                            progress.current != nullptr ? progress.current->ToString() : ""));
    };
  }
  ChildRunner runner;
  SELVEDGE_ASSIGN_OR_RETURN(const TuneReport report,
                            Tune(config.card, config.model.card_path, options, runner));
  line.Clear();
  const TuneCandidate& chosen = report.chosen().candidate;
  Settled settled{.engine = chosen.engine, .threads = chosen.threads, .workers = chosen.callers};
  for (const ModelVariant& variant : config.card.variants) {
    if (variant.name == chosen.variant) settled.variant = &variant;
  }
  loaded->reason = report.choice.why;
  loaded->table = ToTable(report);
  return settled;
}

// The first engine that is there and reads the variant.
Result<std::string> FirstEngine(const ModelVariant& variant, const std::string& path) {
  for (EngineBackend* backend : AllBackends()) {
    const bool allowed =
        variant.engines.empty() ||
        std::ranges::find(variant.engines, backend->name()) != variant.engines.end();
    if (allowed && backend->Reads(path) && backend->Probe()) return std::string(backend->name());
  }
  return Err(NotFoundError("no engine on this machine reads " + path +
                           "; see selvedge inspect, and tools/setup to install engines"));
}

// Everything is said in the file or on the command line: nothing to measure.
Result<Settled> AsSaid(const PipelineConfig& config) {
  Settled settled{.engine = config.model.engine,
                  .variant = &config.card.variants.front(),
                  .threads = std::max(1, config.model.threads)};
  for (const ModelVariant& variant : config.card.variants) {
    if (variant.name == config.model.variant) settled.variant = &variant;
  }
  settled.workers =
      config.model.workers > 0 ? config.model.workers : std::max(1, UsableCpus() / settled.threads);
  if (settled.engine.empty()) {
    const std::string path = ResolvePath(settled.variant->path, config.model.card_path);
    SELVEDGE_ASSIGN_OR_RETURN(settled.engine, FirstEngine(*settled.variant, path));
  }
  return settled;
}

bool NothingIsLeftOpen(const PipelineConfig& config) {
  const ModelChoice& model = config.model;
  const bool variant = !model.variant.empty() || config.card.variants.size() == 1;
  return variant && !model.engine.empty() && model.threads > 0 && model.workers > 0;
}

}  // namespace

Result<LoadedModel> ChooseAndLoad(const PipelineConfig& config, const ModelChoiceFlags& flags) {
  LoadedModel loaded;
  const bool said = NothingIsLeftOpen(config) || config.model.tune_time <= 0;
  SELVEDGE_ASSIGN_OR_RETURN(const Settled settled,
                            said ? AsSaid(config) : FromTune(config, flags, &loaded));
  EngineBackend* backend = FindBackend(settled.engine);
  if (backend == nullptr) {
    std::string names;
    for (const EngineBackend* known : AllBackends()) {
      names += (names.empty() ? "" : ", ") + std::string(known->name());
    }
    return Err(InvalidArgumentError("there is no engine \"" + settled.engine +
                                    "\"; this build knows " + names));
  }
  const std::string path = ResolvePath(settled.variant->path, config.model.card_path);
  SELVEDGE_ASSIGN_OR_RETURN(loaded.digest, DigestOfFile(path));
  EngineOptions options;
  options.threads = settled.threads;
  options.callers = settled.workers;
  options.cache_folder = CompiledModelsFolder();
  options.model_digest = loaded.digest;
  SELVEDGE_ASSIGN_OR_RETURN(const MappedFile model, MappedFile::Open(path, kMaxModelBytes));
  auto engine = backend->Load(model.content(), options);
  if (!engine) return Err(engine.error().WithContext("model " + path));
  loaded.engine = *std::move(engine);
  loaded.variant = settled.variant->name;
  loaded.workers = settled.workers;
  if (said) loaded.reason = "as the pipeline file or the command line says";
  return loaded;
}

}  // namespace selvedge
