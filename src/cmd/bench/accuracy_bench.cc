#include "cmd/bench/accuracy_bench.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cmd/bench/child.h"
#include "cmd/bench/run_child.h"
#include "cmd/eval/detection_report.h"

namespace selvedge {
namespace {

using nlohmann::json;

constexpr double kMaxDelta = 0.005;

// The reference's lines {"frame": 0, "detections": [{"x1": …, "score": …}]} as frame records.
Status ConvertReference(const std::string& from, const std::string& to) {
  std::ifstream in(from);
  std::ofstream out(to);
  for (std::string line; std::getline(in, line);) {
    const json record = json::parse(line, nullptr, false);
    if (!record.is_object() || !record.contains("frame") || !record.contains("detections")) {
      return DataLossError("the reference loop wrote a line that is no frame: " + line);
    }
    json detections = json::array();
    for (const json& d : record["detections"]) {
      detections.push_back(
          {{"label", "person"},
           {"score", d["score"]},
           {"box", {{"x1", d["x1"]}, {"y1", d["y1"]}, {"x2", d["x2"]}, {"y2", d["y2"]}}}});
    }
    out << json{{"frame", record["frame"]}, {"detections", detections}}.dump() << '\n';
  }
  return out.good() ? OkStatus() : DataLossError("cannot write " + to);
}

Result<double> Ap50(const std::string& events, const std::string& ground_truth) {
  DetectionEvalOptions options;
  options.events = events;
  options.ground_truth = ground_truth;
  SELVEDGE_ASSIGN_OR_RETURN(const DetectionReport report, EvaluateDetections(options));
  return report.ap50;
}

}  // namespace

Result<std::vector<Metric>> BenchAccuracy(const AccuracyBenchOptions& options) {
  const std::string events = ScratchFolder() + "/accuracy.jsonl";
  std::error_code ignored;
  std::filesystem::remove(events, ignored);
  std::vector<std::string> arguments = options.arguments;
  arguments.insert(arguments.end(), {"--as-fast-as-possible", "--every-frame", "--events", events});
  SELVEDGE_ASSIGN_OR_RETURN(const PipelineRun run, RunPipelineChild(options.pipeline, arguments));
  (void)run;
  const std::string raw = ScratchFolder() + "/reference-raw.jsonl";
  const std::string reference = ScratchFolder() + "/reference.jsonl";
  SELVEDGE_ASSIGN_OR_RETURN(
      const ChildResult python,
      RunChild({.arguments = {options.python, options.reference_loop, "--video", options.source,
                              "--model", options.model, "--output", raw}}));
  if (python.exit_code != 0)
    return Err(FailedPreconditionError("the Python reference loop failed"));
  SELVEDGE_RETURN_ERR_IF_ERROR(ConvertReference(raw, reference));
  SELVEDGE_ASSIGN_OR_RETURN(const double ours, Ap50(events, options.ground_truth));
  SELVEDGE_ASSIGN_OR_RETURN(const double theirs, Ap50(reference, options.ground_truth));

  Metric delta = FromRuns("ap50_delta", "AP50", {std::abs(ours - theirs)});
  delta.baseline = theirs;
  delta.baseline_of = "plain Python loop";
  delta.target = kMaxDelta;
  return std::vector<Metric>{delta, FromRuns("ap50", "AP50", {ours}),
                             FromRuns("ap50_reference", "AP50", {theirs})};
}

}  // namespace selvedge
