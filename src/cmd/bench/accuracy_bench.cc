#include "cmd/bench/accuracy_bench.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "cmd/bench/child.h"
#include "cmd/bench/run_child.h"
#include "cmd/eval/detection_report.h"

namespace selvedge {
namespace {

constexpr double kMaxDelta = 0.005;

Result<double> Ap50(const std::string& events, const std::string& ground_truth) {
  DetectionEvalOptions options;
  options.events = events;
  options.ground_truth = ground_truth;
  SELVEDGE_ASSIGN_OR_RETURN(const DetectionReport report, EvaluateDetections(options));
  return report.ap50;
}

}  // namespace

Result<std::vector<Metric>> BenchAccuracy(const AccuracyBenchOptions& options) {
  const std::string events = ScratchFolder() + "/" + options.events;
  std::error_code ignored;
  std::filesystem::remove(events, ignored);
  std::vector<std::string> arguments = options.arguments;
  arguments.insert(arguments.end(), {"--as-fast-as-possible", "--every-frame"});
  SELVEDGE_ASSIGN_OR_RETURN(const PipelineRun run, RunPipelineChild(options.pipeline, arguments));
  (void)run;
  const std::string reference = ScratchFolder() + "/reference.jsonl";
  const ModelDecoder& decoder = options.decoder;
  SELVEDGE_ASSIGN_OR_RETURN(
      const ChildResult python,
      RunChild({.arguments = {options.python, options.reference_loop, "--video", options.source,
                              "--model", options.model, "--threshold",
                              fmt::format("{}", decoder.score_threshold), "--nms-iou",
                              fmt::format("{}", decoder.nms_iou), "--max-detections",
                              std::to_string(decoder.max_detections)}}));
  if (python.exit_code != 0) {
    return Err(
        FailedPreconditionError("the Python reference loop failed; its message stands above"));
  }
  // It prints frame records, as `run --every-frame` writes them.
  SELVEDGE_RETURN_ERR_IF_ERROR(WriteFileAtomically(reference, python.output));
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
