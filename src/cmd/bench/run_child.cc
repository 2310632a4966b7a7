#include "cmd/bench/run_child.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cmd/bench/child.h"

namespace selvedge {
namespace {

using nlohmann::json;

Result<json> RunForJson(const ProgramOptions& options) {
  SELVEDGE_ASSIGN_OR_RETURN(const ChildResult child, RunChild(options));
  const std::string& program = options.arguments[0];
  if (child.exit_code != 0) {
    return Err(InternalError(program + " ended with exit code " + std::to_string(child.exit_code) +
                             "; its own message stands above"));
  }
  json object = json::parse(child.output, nullptr, false);
  if (!object.is_object()) return Err(InternalError(program + " printed no JSON object"));
  return object;
}

double Number(const json& object, const json::json_pointer& where) {
  const bool there = object.contains(where) && object[where].is_number();
  return there ? object[where].get<double>() : 0;
}

struct Scratch {
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "selvedge-bench-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) path = name;
  }
  ~Scratch() {
    std::error_code ignored;
    if (!path.empty()) std::filesystem::remove_all(path, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string path;
};

}  // namespace

const std::string& ScratchFolder() {
  static const Scratch scratch;
  return scratch.path;
}

Result<PipelineRun> RunPipelineChild(const std::string& pipeline,
                                     const std::vector<std::string>& arguments,
                                     const std::vector<int>& cpus) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::string folder, ExecutableFolder());
  ProgramOptions child;
  child.arguments = {folder + "/selvedge-run",
                     pipeline,
                     "--json",
                     "--quiet",
                     "--no-http",
                     "--log-level",
                     "warning",
                     "--meter"};
  child.arguments.insert(child.arguments.end(), arguments.begin(), arguments.end());
  child.cpus = cpus;
  SELVEDGE_ASSIGN_OR_RETURN(const json report, RunForJson(child));
  PipelineRun run;
  auto at = [&](const char* pointer) { return Number(report, json::json_pointer(pointer)); };
  run.fps = at("/frames_per_second");
  run.cpu_ms = at("/cpu_ms_per_frame");
  run.engine_cpu_ms = at("/engine_cpu_ms_per_frame");
  run.capture_cpu_ms = at("/capture_cpu_ms_per_frame");
  run.p50_ms = at("/latency/p50_ms");
  run.p99_ms = at("/latency/p99_ms");
  run.rss_mib = at("/peak_rss_mib");
  run.frames = at("/ledger/local");
  run.dropped = at("/ledger/in") - run.frames;
  for (const auto& [stage, percentiles] : report["stages"].items()) {
    run.stage_ms.emplace_back(stage, Number(percentiles, json::json_pointer("/mean_ms")));
  }
  return run;
}

Result<EngineLoopResult> RunEngineChild(const EngineLoopOptions& options) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::string folder, ExecutableFolder());
  ProgramOptions child;
  child.arguments = {folder + "/selvedge-bench",
                     "engine-loop",
                     "--card",
                     options.card_path,
                     "--engine",
                     options.engine,
                     "--threads",
                     std::to_string(options.threads),
                     "--callers",
                     std::to_string(options.callers),
                     "--seconds",
                     fmt::format("{}", options.seconds),
                     "--fps",
                     fmt::format("{}", options.fps)};
  if (!options.variant.empty()) {
    child.arguments.insert(child.arguments.end(), {"--variant", options.variant});
  }
  SELVEDGE_ASSIGN_OR_RETURN(const json report, RunForJson(child));
  auto at = [&](const char* pointer) { return Number(report, json::json_pointer(pointer)); };
  EngineLoopResult result;
  result.throughput = at("/throughput");
  result.cpu_ms = at("/cpu_ms");
  result.p50_ms = at("/p50_ms");
  result.p99_ms = at("/p99_ms");
  return result;
}

Result<double> RunPythonChild(const std::vector<std::string>& arguments, const std::string& key) {
  SELVEDGE_ASSIGN_OR_RETURN(const json report, RunForJson({.arguments = arguments}));
  if (!report.contains(key) || !report[key].is_number()) {
    return Err(InternalError(arguments[1] + " printed no number \"" + key + "\""));
  }
  return report[key].get<double>();
}

}  // namespace selvedge
