#include "cmd/run/options.h"

#include <CLI/CLI.hpp>

namespace selvedge {
namespace {

void AddOptions(CLI::App* app, RunOptions* o) {
  app->add_option("PIPELINE", o->pipeline_file, "pipeline file (docs/formats/pipeline.md)")
      ->required();
  app->add_option("--source", o->source, "a file, rtsp://…, /dev/video0, a folder, test://")
      ->envname("SELVEDGE_SOURCE");
  app->add_option("--events", o->events, "append events to FILE as JSON lines; - is stdout")
      ->envname("SELVEDGE_EVENTS");
  app->add_flag("--every-frame", o->every_frame,
                "an event record with all detections for every frame");
  app->add_flag("--as-fast-as-possible", o->as_fast_as_possible,
                "files: do not pace, drop nothing");
  app->add_option("--speed", o->speed, "files: play so many times as fast")
      ->check(CLI::Range(0.01, 1000.0));
  app->add_flag("--loop", o->loop, "files: begin again at the end");
  app->add_option("--frames", o->frames, "stop after so many decided frames");
  app->add_option("--duration", o->duration, "stop after so many seconds");
  app->add_option("--engine", o->engine, "onnxruntime, openvino, tflite; default: measured")
      ->envname("SELVEDGE_ENGINE");
  app->add_option("--variant", o->variant, "a variant of the model card; default: measured")
      ->envname("SELVEDGE_VARIANT");
  app->add_option("--threads", o->threads, "threads per inference; default: measured")
      ->check(CLI::Range(1, 256))
      ->envname("SELVEDGE_THREADS");
  app->add_option("--workers", o->workers, "inferences at the same time; default: measured")
      ->check(CLI::Range(1, 64))
      ->envname("SELVEDGE_WORKERS");
  app->add_flag("--retune", o->retune, "measure again what suits this machine");
  app->add_option("--address", o->address, "where HTTP listens; default: this machine only")
      ->envname("SELVEDGE_ADDRESS");
  app->add_option("--port", o->port, "HTTP port; 0: any free one")
      ->check(CLI::Range(0, 65535))
      ->envname("SELVEDGE_PORT");
  app->add_flag("--live-view", o->live_view, "show annotated pictures in the browser");
  app->add_flag("--no-http", o->no_http, "no metrics, health or live view");
  app->add_flag("--json", o->json, "print the closing report as one JSON object on stdout");
  app->add_option("--report", o->report, "write the closing report as JSON to FILE");
  app->add_flag("--meter", o->meter, "count the engine's processor time (for benchmarks)");
  app->add_flag("-q,--quiet", o->quiet, "no progress, no closing report");
}

}  // namespace

int ParseRunOptions(int argc, const char* const* argv, RunOptions* options) {
  CLI::App app(
      "Runs one pipeline: capture, preprocess, infer, track, decide, publish.\n"
      "Example: selvedge run examples/safety-monitor/pipeline.yaml --live-view");
  app.name("selvedge run");
  AddOptions(&app, options);
  const cli::LogFlags log_flags(&app);
  if (const int code = cli::Parse(&app, argc, argv); code >= 0) return code;
  if (const Status applied = log_flags.Apply(); !applied.ok()) {
    (void)cli::Fail("run", applied);
    return cli::kExitMisuse;
  }
  if (options->json && options->events == "-") {
    (void)cli::Fail("run", InvalidArgumentError("--json and --events - both want stdout; give "
                                                "--report FILE or --events FILE instead"));
    return cli::kExitMisuse;
  }
  return -1;
}

Result<PipelineConfig> LoadConfig(const RunOptions& options) {
  SELVEDGE_ASSIGN_OR_RETURN(PipelineConfig config, PipelineConfig::Load(options.pipeline_file));
  if (!options.source.empty()) config.source.uri = options.source;
  if (!options.events.empty()) config.events.path = options.events;
  if (!options.engine.empty()) config.model.engine = options.engine;
  if (!options.variant.empty()) config.model.variant = options.variant;
  if (options.threads > 0) config.model.threads = options.threads;
  if (options.workers > 0) config.model.workers = options.workers;
  if (options.port >= 0) config.http.port = options.port;
  if (!options.address.empty()) config.http.address = options.address;
  if (options.live_view) config.http.live_view = true;
  if (options.no_http) config.http.enabled = false;
  if (options.every_frame) config.events.every_frame = true;
  if (options.speed > 0) config.source.speed = options.speed;
  if (options.loop) config.source.loop = true;
  if (options.as_fast_as_possible) config.source.realtime = false;
  // Where nothing paces the source, the queue does: nothing is dropped.
  if (!config.source.realtime) {
    config.pipeline.queue_policy = DropPolicy::kBlock;
    config.pipeline.max_age = 0;
  }
  return config;
}

}  // namespace selvedge
