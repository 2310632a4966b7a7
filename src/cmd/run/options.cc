#include "cmd/run/options.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "engine/backends/backends.h"

namespace selvedge {
namespace {

void AddOptions(CLI::App* app, RunOptions* o) {
  app->add_option("PIPELINE", o->pipeline_file, "pipeline file (docs/formats/pipeline.md)");
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
  app->add_option("--card", o->card, "the model card, in place of the pipeline file's")
      ->envname("SELVEDGE_CARD");
  app->add_option("--confidence-threshold", o->confidence_threshold,
                  "detections scored below it are not used")
      ->check(CLI::Range(0.0, 1.0))
      ->envname("SELVEDGE_CONFIDENCE_THRESHOLD");
  app->add_option("--address", o->address, "where HTTP listens; default: this machine only")
      ->envname("SELVEDGE_ADDRESS");
  app->add_option("--port", o->port, "HTTP port; 0: any free one")
      ->check(CLI::Range(0, 65535))
      ->envname("SELVEDGE_PORT");
  app->add_flag("--live-view", o->live_view, "show annotated pictures in the browser");
  app->add_flag("--no-http", o->no_http, "no metrics, health or live view");
  app->add_option("--agent", o->agent, "the agent's socket: events and numbers go there")
      ->envname("SELVEDGE_AGENT_SOCKET");
  app->add_option("--application", o->application, "name in the fleet: the application")
      ->envname("SELVEDGE_APPLICATION");
  app->add_option("--service", o->service, "name in the fleet: the microservice")
      ->envname("SELVEDGE_SERVICE");
  app->add_option("--device", o->device, "the device's name in events")->envname("SELVEDGE_DEVICE");
  app->add_flag("--engines", o->engines, "say which engines are on this machine, and leave");
  app->add_flag("--version", o->version, "say the version, and leave");
  app->add_flag("--json", o->json, "print the closing report as one JSON object on stdout");
  app->add_option("--report", o->report, "write the closing report as JSON to FILE");
  app->add_flag("--meter", o->meter, "count the engine's processor time (for benchmarks)");
  app->add_flag("-q,--quiet", o->quiet, "no progress, no closing report");
}

// --version and --engines, as lines or, with --json, as one object.
void PrintSelf(const RunOptions& options) {
  nlohmann::json engines = nlohmann::json::array();
  std::string lines = "selvedge-run " SELVEDGE_VERSION "\n";
  for (EngineBackend* backend : options.engines ? AllBackends() : std::vector<EngineBackend*>()) {
    const Result<std::string> version = backend->Probe();
    if (!version || backend->name() == "fake") continue;
    engines.push_back({{"name", backend->name()}, {"version", *version}});
    lines += std::string(backend->name()) + " " + *version + "\n";
  }
  nlohmann::json object = {{"version", SELVEDGE_VERSION}};
  if (options.engines) object["engines"] = std::move(engines);
  const std::string text = options.json ? object.dump() + "\n" : lines;
  (void)std::fwrite(text.data(), 1, text.size(), stdout);
}

Status CheckOptions(const RunOptions& options) {
  if (options.pipeline_file.empty()) {
    return InvalidArgumentError("which pipeline? Give the path of its file; --help says more");
  }
  if (options.json && options.events == "-") {
    return InvalidArgumentError(
        "--json and --events - both want stdout; give --report FILE or --events FILE instead");
  }
  return OkStatus();
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
  if (options->version || options->engines) {
    PrintSelf(*options);
    return cli::kExitOk;
  }
  if (const Status checked = CheckOptions(*options); !checked.ok()) {
    (void)cli::Fail("run", checked);
    return cli::kExitMisuse;
  }
  return -1;
}

Result<PipelineConfig> LoadConfig(const RunOptions& options) {
  SELVEDGE_ASSIGN_OR_RETURN(PipelineConfig config,
                            PipelineConfig::Load(options.pipeline_file, {.card = options.card}));
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
  if (!options.device.empty()) config.device = options.device;
  if (options.confidence_threshold >= 0) {
    config.pipeline.confidence_threshold = static_cast<float>(options.confidence_threshold);
  }
  if (!options.agent.empty()) {
    // A package's folder is no place to write into; what the pipeline says goes to the agent.
    config.events.path = options.events;
    if (!options.application.empty() && !options.service.empty()) {
      config.pipeline.name = options.application + "/" + options.service;
    }
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(config.CheckPrivacy());
  // Where nothing paces the source, the queue does: nothing is dropped.
  if (!config.source.realtime) {
    config.pipeline.queue_policy = DropPolicy::kBlock;
    config.pipeline.max_age = 0;
  }
  return config;
}

}  // namespace selvedge
