// selvedge-tune: measures engines, variants and threads on this machine and shows what would be
// chosen.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "cmd/cli/cli.h"
#include "core/model_card.h"
#include "engine/backends/backends.h"
#include "engine/tune.h"
#include "engine/tune_child.h"
#include "engine/tune_json.h"

namespace selvedge {
namespace {

struct TuneFlags {
  std::string card;
  TuneOptions tune;
  double seconds = 20;
  bool cached = false;
  bool json = false;
};

int ParseFlags(int argc, const char* const* argv, TuneFlags* flags) {
  CLI::App app(
      "Measures which engine runs which variant of a model with how many threads on this machine.\n"
      "Example: selvedge tune assets/models/person-ssdlite.card.yaml --slo-p99-ms 50");
  app.name("selvedge tune");
  app.add_option("CARD", flags->card, "model card (docs/formats/model-card.md)")->required();
  app.add_option("--slo-p99-ms", flags->tune.objective.slo_p99_ms, "latency objective; 0: none");
  app.add_option("--fps", flags->tune.objective.wanted_fps, "throughput objective; 0: none");
  app.add_option("--max-accuracy-drop", flags->tune.objective.max_accuracy_drop)
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  app.add_flag("--prefer-throughput", flags->tune.objective.prefer_throughput,
               "choose the highest throughput instead of the lowest latency");
  app.add_option("--engine", flags->tune.engine, "only this one");
  app.add_option("--variant", flags->tune.variant, "only this one");
  app.add_option("--threads", flags->tune.threads, "only so many")->check(CLI::Range(1, 256));
  app.add_option("--seconds", flags->seconds, "at most, all candidates together")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 3600.0));
  app.add_flag("--cached", flags->cached, "show what was measured before, if anything was");
  app.add_flag("--json", flags->json, "one JSON object");
  const cli::LogFlags log_flags(&app, "warning");
  if (const int code = cli::Parse(&app, argc, argv); code >= 0) return code;
  if (const Status applied = log_flags.Apply(); !applied.ok()) {
    (void)cli::Fail("tune", applied);
    return cli::kExitMisuse;
  }
  return -1;
}

int TuneMain(int argc, const char* const* argv) {
  TuneFlags flags;
  if (const int code = ParseFlags(argc, argv, &flags); code >= 0) return code;
  const Result<ModelCard> card = ModelCard::Load(flags.card);
  if (!card) return cli::Fail("tune", card.error());
  cli::StatusLine line;
  flags.tune.budget = FromSeconds(flags.seconds);
  flags.tune.use_cache = flags.cached;
  flags.tune.backends = AllBackends();
  flags.tune.progress = [&](const TuneProgress& progress) {
    if (progress.current == nullptr) return;
    line.Show(fmt::format("measuring {}/{} {}", progress.done + 1, progress.total,
                          progress.current->ToString()));
  };
  ChildRunner runner;
  const Result<TuneReport> report = Tune(*card, flags.card, flags.tune, runner);
  line.Clear();
  if (!report) return cli::Fail("tune", report.error());
  const std::string text = flags.json ? ToJson(*report) + "\n" : ToTable(*report);
  return std::fputs(text.c_str(), stdout) < 0 ? cli::kExitFailure : cli::kExitOk;
}

}  // namespace
}  // namespace selvedge

int main(int argc, char** argv) {
  selvedge::cli::IgnoreBrokenPipes();
  if (selvedge::IsTuneCandidateCall(argc, argv)) {
    return selvedge::ServeTuneCandidate(argv[2], selvedge::AllBackends());
  }
  return selvedge::TuneMain(argc, argv);
}
