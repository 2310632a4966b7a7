#include "cmd/bench/pipeline_bench.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <utility>

#include "base/cpu.h"
#include "base/file.h"
#include "cmd/bench/accuracy_bench.h"
#include "cmd/bench/child.h"
#include "cmd/bench/run_child.h"
#include "core/event_json.h"
#include "device/pipeline/pipeline_config.h"
#include "proto/event.pb.h"

namespace selvedge {
namespace {

// What was promised: the targets of the metrics below.
constexpr double kOverlap = 0.95;
constexpr double kVsPython2 = 1.2;
constexpr double kVsPython1 = 1.8;
constexpr double kCpuFullRate = 1.08;
constexpr double kCpuTenFps = 1.25;
constexpr double kAroundEngineMs = 0.8;
constexpr double kAroundAllMs = 1.2;
constexpr double kLatencyP50 = 1.10;
constexpr double kTail = 1.5;
constexpr double kP99Ms = 50;
constexpr double kOverload = 3;
constexpr double kRssMib = 130;
constexpr double kCodeMib = 3;

Metric Promise(Metric metric, double target, bool minimum = false, std::string note = {}) {
  metric.target = target;
  metric.target_is_minimum = minimum;
  if (!note.empty()) metric.note = std::move(note);
  return metric;
}

class Bench {
 public:
  Bench(const PipelineBenchOptions& options, PipelineConfig config)
      : options_(options), config_(std::move(config)) {
    workers_ = options.workers > 0 ? options.workers : UsableCpus();
    report_.bench = "pipeline";
  }

  Result<BenchReport> Run();

 private:
  bool Wants(const std::string& group) const {
    return options_.only.empty() || std::ranges::find(options_.only, group) != options_.only.end();
  }
  // `group` done or put into `skipped`: one that cannot run here leaves the others alone.
  void Group(const std::string& group, Status (Bench::*measure)());
  Status Throughput();
  Status Realtime();
  Status RealtimeAt(double fps);
  Status Overload();
  Status Around();
  Status Memory();
  Status Accuracy();

  std::vector<std::string> Arguments(int workers, int threads,
                                     const std::string& events = "events.jsonl") const;
  EngineLoopOptions EngineAlone(int callers, int threads) const;
  void Add(Metric metric) { report_.metrics.push_back(std::move(metric)); }

  const PipelineBenchOptions& options_;
  const PipelineConfig config_;
  int workers_ = 1;
  BenchReport report_;
};

std::vector<std::string> Bench::Arguments(int workers, int threads,
                                          const std::string& events) const {
  std::vector<std::string> arguments = {
      "--engine",  options_.engine,         "--variant", config_.model.variant,
      "--threads", std::to_string(threads), "--workers", std::to_string(workers),
      "--source",  config_.source.uri,      "--events",  ScratchFolder() + "/" + events};
  return arguments;
}

EngineLoopOptions Bench::EngineAlone(int callers, int threads) const {
  EngineLoopOptions engine;
  engine.card_path = config_.model.card_path;
  engine.engine = options_.engine;
  engine.variant = config_.model.variant;
  engine.callers = callers;
  engine.threads = threads;
  engine.seconds = 4;
  return engine;
}

void Bench::Group(const std::string& group, Status (Bench::*measure)()) {
  if (!Wants(group)) return;
  fmt::print(stderr, "measuring {} ...\n", group);
  if (const Status status = (this->*measure)(); !status.ok()) {
    report_.skipped.push_back(group + ": " + status.message());
  }
}

Result<BenchReport> Bench::Run() {
  Group("throughput", &Bench::Throughput);
  Group("around", &Bench::Around);
  Group("realtime", &Bench::Realtime);
  Group("overload", &Bench::Overload);
  Group("memory", &Bench::Memory);
  Group("accuracy", &Bench::Accuracy);
  return std::move(report_);
}

// As fast as possible, one engine thread per worker, beside the engine alone and two Python loops.
Status Bench::Throughput() {
  std::vector<double> fps, engine_fps, cpu, engine_cpu, python_1, python_2;
  std::string python_error;
  for (int run = 0; run < options_.runs; ++run) {
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const EngineLoopResult engine,
                                     RunEngineChild(EngineAlone(workers_, 1)));
    auto arguments = Arguments(workers_, 1);
    arguments.emplace_back("--as-fast-as-possible");
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const PipelineRun pipeline,
                                     RunPipelineChild(options_.pipeline, arguments));
    fps.push_back(pipeline.fps);
    cpu.push_back(pipeline.cpu_ms);
    engine_fps.push_back(engine.throughput);
    engine_cpu.push_back(engine.cpu_ms);
    for (const int threads : {1, 2}) {
      if (!python_error.empty()) continue;
      const std::string model =
          ResolvePath(config_.card.variants.front().path, config_.model.card_path);
      const Result<double> python =
          RunPythonChild({options_.python, options_.python_loop, "--video", config_.source.uri,
                          "--model", model, "--threads", std::to_string(threads)},
                         "fps");
      if (!python) python_error = python.error().message();
      if (python) (threads == 1 ? python_1 : python_2).push_back(*python);
    }
  }
  const std::string alone = fmt::format("engine alone, {} callers x 1 thread", workers_);
  Add(Promise(RatioOfRuns("overlap_ratio", fps, engine_fps, alone), kOverlap, true));
  Add(FromRuns("throughput_fps", "1/s", fps));
  Add(Promise(RatioOfRuns("cpu_per_frame_ratio", cpu, engine_cpu, alone), kCpuFullRate));
  if (python_error.empty()) {
    Add(Promise(RatioOfRuns("vs_python_2t", fps, python_2, "Python loop, 2 engine threads"),
                kVsPython2, true));
    Add(Promise(RatioOfRuns("vs_python_1t", fps, python_1, "Python loop, 1 engine thread"),
                kVsPython1, true));
  } else {
    report_.skipped.push_back("vs_python_1t, vs_python_2t: " + python_error);
  }
  return OkStatus();
}

// One worker, one thread, so that the process's CPU less the engine's own is what we add to it.
Status Bench::Around() {
  std::vector<double> all, engine, capture, rest;
  std::map<std::string, std::vector<double>> stages;
  for (int run = 0; run < options_.runs; ++run) {
    auto arguments = Arguments(1, 1);
    arguments.emplace_back("--as-fast-as-possible");
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const PipelineRun pipeline,
                                     RunPipelineChild(options_.pipeline, arguments));
    const double around = pipeline.cpu_ms - pipeline.engine_cpu_ms;
    all.push_back(around);
    engine.push_back(pipeline.engine_cpu_ms);
    capture.push_back(pipeline.capture_cpu_ms);
    double own = 0;
    for (const auto& [stage, ms] : pipeline.stage_ms) {
      stages[stage].push_back(ms);
      if (stage == "track" || stage == "decide") own += ms;
    }
    // Tracking and rules by their own clocks; publishing and hand-over are what is left.
    double media = pipeline.capture_cpu_ms;
    for (const auto& [stage, ms] : pipeline.stage_ms) {
      if (stage == "preprocess" || stage == "decode") media += ms;
    }
    rest.push_back(std::max(0.0, around - media - own));
  }
  std::vector<double> media_runs;
  for (std::size_t i = 0; i < capture.size(); ++i) {
    media_runs.push_back(capture[i] + stages["preprocess"][i] + stages["decode"][i]);
  }
  Add(Promise(FromRuns("around_engine_ms", "ms", media_runs), kAroundEngineMs, false,
              "decode, convert, resize, normalise, decode boxes"));
  Add(Promise(FromRuns("around_engine_all_ms", "ms", all), kAroundAllMs, false,
              "all CPU of the process but the engine's"));
  Add(FromRuns("around_capture_ms", "ms", capture));
  for (const std::string stage : {"preprocess", "decode", "track", "decide"}) {
    Add(FromRuns("around_" + stage + "_ms", "ms", stages[stage]));
  }
  Add(FromRuns("around_rest_ms", "ms", rest));
  report_.metrics.back().note = "publishing, queues, wake-ups, by difference";
  Add(FromRuns("engine_cpu_ms", "ms", engine));
  return OkStatus();
}

Status Bench::RealtimeAt(double fps) {
  constexpr double kFileFps = 10;  // of the demo's video
  std::vector<double> p50, p99, tail, engine_p50, engine_busy_p50, cpu, engine_cpu, dropped;
  const int threads = UsableCpus();
  for (int run = 0; run < options_.runs; ++run) {
    EngineLoopOptions paced = EngineAlone(1, threads);
    paced.fps = fps;
    paced.seconds = std::max(4.0, 60 / fps);
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const EngineLoopResult alone, RunEngineChild(paced));
    paced.fps = 0;
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const EngineLoopResult busy, RunEngineChild(paced));
    auto arguments = Arguments(1, threads);
    arguments.insert(arguments.end(), {"--speed", fmt::format("{}", fps / kFileFps), "--frames",
                                       std::to_string(options_.frames)});
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const PipelineRun pipeline,
                                     RunPipelineChild(options_.pipeline, arguments));
    p50.push_back(pipeline.p50_ms);
    p99.push_back(pipeline.p99_ms);
    tail.push_back(pipeline.p99_ms / pipeline.p50_ms);
    cpu.push_back(pipeline.cpu_ms);
    dropped.push_back(pipeline.dropped);
    engine_p50.push_back(alone.p50_ms);
    engine_cpu.push_back(busy.cpu_ms);
    engine_busy_p50.push_back(busy.p50_ms);
  }
  const std::string suffix = fmt::format("_{:.0f}fps", fps);
  const std::string at = fmt::format("engine alone at {:.0f} fps, {} threads", fps, threads);
  Add(Promise(RatioOfRuns("latency_p50_ratio" + suffix, p50, engine_p50, at), kLatencyP50));
  Add(RatioOfRuns("latency_p50_ratio_busy" + suffix, p50, engine_busy_p50,
                  "engine alone, one run after the other"));
  Add(Promise(FromRuns("latency_tail" + suffix, "ratio", tail), kTail, false, "p99 / p50"));
  Add(Promise(FromRuns("latency_p99_ms" + suffix, "ms", p99), kP99Ms));
  Metric cpu_ratio = RatioOfRuns("cpu_per_frame_ratio" + suffix, cpu, engine_cpu,
                                 "engine alone, one run after the other");
  Add(fps == 10 ? Promise(std::move(cpu_ratio), kCpuTenFps) : std::move(cpu_ratio));
  Add(FromRuns("dropped" + suffix, "frames", dropped));
  return OkStatus();
}

Status Bench::Realtime() {
  SELVEDGE_RETURN_IF_ERROR(RealtimeAt(10));
  return RealtimeAt(30);
}

// Latencies of every frame of an event file, capture order, ms.
Result<std::vector<double>> FrameLatencies(const std::string& path) {
  std::ifstream file(path);
  std::vector<double> latencies;
  for (std::string line; std::getline(file, line);) {
    SELVEDGE_ASSIGN_OR_RETURN(const v1::Event event, ParseEventLine(line));
    if (!event.has_decision()) latencies.push_back(event.times().total_us() / 1e3);
  }
  if (latencies.size() < 40) return Err(DataLossError("too few frames were decided to judge"));
  return latencies;
}

double Percentile(std::vector<double> values, double percent) {
  std::ranges::sort(values);
  const auto rank = static_cast<std::size_t>(percent / 100 * static_cast<double>(values.size()));
  return values[std::min(rank, values.size() - 1)];
}

std::vector<int> FirstUsableCpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  (void)sched_getaffinity(0, sizeof(set), &set);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) return {cpu};
  }
  return {0};
}

// Set up for all processors, then given one: at 30 fps, and at several times what that one can do.
Status Bench::Overload() {
  struct Load {
    const char* name;
    double speed;
    double target;
  };
  for (const Load load :
       {Load{"overload_p99_ratio", 3, kOverload}, Load{"overload_saturated_p99_ratio", 20, 0}}) {
    std::vector<double> p99, quiet, growth, dropped;
    for (int run = 0; run < options_.runs; ++run) {
      auto arguments = Arguments(workers_, 1);
      arguments.insert(arguments.end(), {"--speed", "3", "--frames", "150"});
      SELVEDGE_ASSIGN_OR_RETURN_STATUS(const PipelineRun calm,
                                       RunPipelineChild(options_.pipeline, arguments));
      const std::string name = fmt::format("overload-{}.jsonl", load.speed);
      const std::string events = ScratchFolder() + "/" + name;
      std::filesystem::remove(events);
      arguments = Arguments(workers_, 1, name);
      arguments.insert(arguments.end(), {"--every-frame", "--loop", "--speed",
                                         fmt::format("{}", load.speed), "--duration", "15"});
      SELVEDGE_ASSIGN_OR_RETURN_STATUS(
          const PipelineRun hot, RunPipelineChild(options_.pipeline, arguments, FirstUsableCpu()));
      SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::vector<double> all, FrameLatencies(events));
      const auto quarter = static_cast<std::ptrdiff_t>(all.size() / 4);
      quiet.push_back(calm.p50_ms);
      p99.push_back(Percentile(all, 99));
      growth.push_back(Median({all.end() - quarter, all.end()}) /
                       Median({all.begin(), all.begin() + quarter}));
      dropped.push_back(100 * hot.dropped / std::max(1.0, hot.dropped + hot.frames));
    }
    Metric ratio = RatioOfRuns(load.name, p99, quiet, "p50 with all processors at 30 fps");
    ratio.note = fmt::format("{:.0f} fps on one processor", load.speed * 10);
    Add(load.target > 0 ? Promise(std::move(ratio), load.target) : std::move(ratio));
    const std::string prefix = load.target > 0 ? "overload" : "overload_saturated";
    Add(FromRuns(prefix + "_growth", "ratio", growth));
    report_.metrics.back().note = "median latency, last quarter of the run to the first";
    Add(FromRuns(prefix + "_dropped", "%", dropped));
    report_.metrics.back().note = "counted in the ledger as queue_full";
  }
  return OkStatus();
}

Status Bench::Memory() {
  std::vector<double> rss;
  for (int run = 0; run < options_.runs; ++run) {
    auto arguments = Arguments(workers_, 1);
    arguments.insert(arguments.end(), {"--as-fast-as-possible", "--frames", "200"});
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const PipelineRun pipeline,
                                     RunPipelineChild(options_.pipeline, arguments));
    rss.push_back(pipeline.rss_mib);
  }
  Add(Promise(FromRuns("peak_rss_mib", "MiB", rss), kRssMib, false, "selvedge-run, this model"));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string folder, ExecutableFolder());
  const std::string stripped = ScratchFolder() + "/selvedge-run";
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(
      const ChildResult strip,
      RunChild({.arguments = {"strip", "-o", stripped, folder + "/selvedge-run"}}));
  if (strip.exit_code == 0) {
    const double mib = static_cast<double>(std::filesystem::file_size(stripped)) / (1 << 20);
    Add(Promise(FromRuns("own_code_mib", "MiB", {mib}), kCodeMib, false, "selvedge-run, stripped"));
  }
  return OkStatus();
}

Status Bench::Accuracy() {
  if (options_.ground_truth.empty()) {
    return FailedPreconditionError("ap50_delta needs --ground-truth FILE (MOTChallenge labels)");
  }
  AccuracyBenchOptions accuracy;
  accuracy.pipeline = options_.pipeline;
  accuracy.events = "accuracy.jsonl";
  accuracy.arguments = Arguments(workers_, 1, accuracy.events);
  accuracy.source = config_.source.uri;
  accuracy.decoder = config_.card.decoder;
  accuracy.model = ResolvePath(config_.card.variants.front().path, config_.model.card_path);
  accuracy.ground_truth = options_.ground_truth;
  accuracy.python = options_.python;
  accuracy.reference_loop = options_.reference_loop;
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(std::vector<Metric> metrics, BenchAccuracy(accuracy));
  for (Metric& metric : metrics) Add(std::move(metric));
  return OkStatus();
}

}  // namespace

Result<BenchReport> BenchPipeline(const PipelineBenchOptions& options) {
  SELVEDGE_ASSIGN_OR_RETURN(PipelineConfig config, PipelineConfig::Load(options.pipeline));
  if (!options.source.empty()) config.source.uri = options.source;
  config.model.variant =
      options.variant.empty() ? config.card.variants.front().name : options.variant;
  return Bench(options, std::move(config)).Run();
}

}  // namespace selvedge
