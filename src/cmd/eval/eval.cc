#include "cmd/eval/eval.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>

#include "cmd/cli/cli.h"
#include "cmd/eval/detection_report.h"

namespace selvedge {
namespace {

constexpr std::int64_t kLargestFrame = 1'000'000'000;

// "1-400" or "7".
bool ParseFrames(std::string_view text, std::int64_t* first, std::int64_t* last) {
  const auto parse = [](std::string_view word, std::int64_t* out) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), *out);
    return error == std::errc() && end == word.data() + word.size() && *out >= 1 &&
           *out <= kLargestFrame;
  };
  const std::size_t dash = text.find('-');
  if (!parse(text.substr(0, dash), first)) return false;
  if (dash == std::string_view::npos) {
    *last = *first;
    return true;
  }
  return parse(text.substr(dash + 1), last) && *first <= *last;
}

bool Print(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
         std::fflush(stdout) == 0;
}

int RunDetections(DetectionEvalOptions options, bool json) {
  if (options.label == "any") options.label.clear();
  const Result<DetectionReport> report = EvaluateDetections(options);
  if (!report) return cli::Fail("eval", report.error());
  for (const std::string& note : report->notes) {
    (void)std::fprintf(stderr, "selvedge eval: note: %s\n", note.c_str());
  }
  const std::string text = json ? ToJson(options, *report) + "\n" : ToTable(options, *report);
  if (!Print(text)) return cli::Fail("eval", ErrnoError(errno, "cannot write to stdout"));
  return cli::kExitOk;
}

}  // namespace

int EvalMain(int argc, const char* const* argv) {
  CLI::App app(
      "Measures what a pipeline recorded against labels made by people.\n"
      "Example: selvedge eval detections --events events.jsonl --ground-truth gt.txt");
  app.name("selvedge eval");
  app.require_subcommand(1);
  DetectionEvalOptions options;
  std::string frames;
  bool json = false;
  CLI::App* detections = app.add_subcommand(
      "detections",
      "AP, precision, recall, MOTA and IDF1 of the frame records of a run.\n"
      "Example: selvedge run pipeline.yaml --every-frame --events events.jsonl\n"
      "         selvedge eval detections --events events.jsonl --ground-truth gt.txt --json");
  detections->add_option("--events", options.events, "event file of run --every-frame")
      ->required()
      ->type_name("FILE");
  detections->add_option("--ground-truth", options.ground_truth, "labels in MOTChallenge format")
      ->required()
      ->type_name("FILE");
  detections->add_option("--class", options.label, "the labelled class; any: all detections")
      ->type_name("NAME")
      ->capture_default_str();
  detections->add_option("--source", options.source, "the source, where the events have several")
      ->type_name("NAME");
  detections->add_option("--iou", options.iou, "overlap from which a box is found; AP has its own")
      ->check(CLI::Range(0.01, 1.0))
      ->capture_default_str();
  detections
      ->add_option("--score-threshold", options.score_threshold,
                   "least score for precision, recall and F1")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  detections
      ->add_option("--frames", frames,
                   "only these, counted from 1; default: from the first to the last labelled")
      ->type_name("FIRST-LAST");
  detections->add_flag("--labelled-only", options.labelled_only,
                       "pass over frames without a label");
  detections->add_flag("--json", json, "one JSON object on stdout");
  if (const int code = cli::Parse(&app, argc, argv); code >= 0) return code;
  if (!frames.empty() && !ParseFrames(frames, &options.first_frame, &options.last_frame)) {
    (void)cli::Fail("eval",
                    InvalidArgumentError("--frames " + frames +
                                         ": expected FIRST-LAST, counted from 1, as 1-400"));
    return cli::kExitMisuse;
  }
  return RunDetections(options, json);
}

}  // namespace selvedge
