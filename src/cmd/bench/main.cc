// selvedge-bench: measures the executables beside it.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <string_view>

#include "cmd/bench/engine_loop.h"
#include "cmd/bench/engines_bench.h"
#include "cmd/bench/fleet_bench.h"
#include "cmd/bench/pipeline_bench.h"
#include "cmd/cli/cli.h"

namespace selvedge {
namespace {

int Show(const Result<BenchReport>& report, bool json) {
  if (!report) return cli::Fail("bench", report.error());
  const std::string text = json ? ToJson(*report) + "\n" : ToTable(*report);
  return std::fputs(text.c_str(), stdout) < 0 ? cli::kExitFailure : cli::kExitOk;
}

int BenchMain(int argc, const char* const* argv) {
  CLI::App app(
      "Measures pipelines, engines and fleets: interleaved runs, medians and spread.\n"
      "Example: selvedge bench pipeline --source vtest.avi --json");
  app.name("selvedge bench");
  app.require_subcommand(1);
  bool json = false;
  PipelineBenchOptions p;
  CLI::App* pipeline = app.add_subcommand("pipeline", "a whole pipeline beside the engine alone");
  pipeline->add_option("PIPELINE", p.pipeline, "pipeline file")->capture_default_str();
  pipeline->add_option("--source", p.source, "a video file of 500 frames or more");
  pipeline->add_option("--ground-truth", p.ground_truth, "its labels, MOTChallenge format");
  pipeline->add_option("--engine", p.engine)->capture_default_str();
  pipeline->add_option("--variant", p.variant, "default: the card's first");
  pipeline->add_option("--workers", p.workers, "default: as many as usable processors");
  pipeline->add_option("--runs", p.runs)->capture_default_str()->check(CLI::Range(1, 100));
  pipeline->add_option("--frames", p.frames, "per paced run")->capture_default_str();
  pipeline->add_option("--python", p.python)->capture_default_str();
  pipeline->add_option("--only", p.only,
                       "throughput, around, realtime, overload, memory, accuracy; default: all");
  EnginesBenchOptions e;
  CLI::App* engines = app.add_subcommand("engines", "every engine, variant and number of threads");
  engines->add_option("CARD", e.card, "model card")->capture_default_str();
  engines->add_option("--runs", e.runs)->capture_default_str()->check(CLI::Range(1, 100));
  engines->add_option("--seconds", e.seconds, "per run")->capture_default_str();
  FleetBenchOptions f;
  CLI::App* fleet = app.add_subcommand("fleet", "control plane, gateway and many agents");
  fleet->add_option("--agents", f.agents)->capture_default_str()->check(CLI::Range(1, 1000));
  fleet->add_option("--changes", f.changes)->capture_default_str()->check(CLI::Range(1, 1000));
  fleet->add_option("--known", f.known, "devices known")->capture_default_str();
  fleet->add_option("--seconds", f.seconds, "of events, and of idling")->capture_default_str();
  fleet->add_option("--event-agents", f.event_agents, "whose pipelines make events")
      ->capture_default_str();
  for (CLI::App* sub : {pipeline, engines, fleet}) sub->add_flag("--json", json, "one JSON object");
  if (const int code = cli::Parse(&app, argc, argv); code >= 0) return code;
  if (pipeline->parsed()) return Show(BenchPipeline(p), json);
  if (fleet->parsed()) return Show(BenchFleet(f), json);
  return Show(BenchEngines(e), json);
}

}  // namespace
}  // namespace selvedge

int main(int argc, char** argv) {
  selvedge::cli::IgnoreBrokenPipes();
  if (argc > 1 && std::string_view(argv[1]) == "engine-loop") {
    return selvedge::EngineLoopMain(argc - 1, argv + 1);
  }
  return selvedge::BenchMain(argc, argv);
}
