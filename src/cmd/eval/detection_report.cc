#include "cmd/eval/detection_report.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "cmd/eval/frame_records.h"
#include "vision/mot.h"

namespace selvedge {
namespace {

// Frames are held one by one; a range typed by mistake must not fill the memory.
constexpr std::int64_t kMostFrames = 10'000'000;

using TruthByFrame = std::map<std::int64_t, std::vector<TruthBox>>;

struct Range {
  std::int64_t first = 0;
  std::int64_t last = 0;
};

std::string FrameRange(std::int64_t first, std::int64_t last) {
  return std::to_string(first) + "-" + std::to_string(last);
}

Result<TruthByFrame> ReadTruth(const std::string& path) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::vector<MotEntry> entries, LoadMot(path));
  TruthByFrame truth;
  for (const MotEntry& entry : entries) {
    // MOTChallenge flags what is not to be evaluated with 0.
    truth[entry.frame].push_back({entry.box, entry.id, entry.confidence == 0});
  }
  return truth;
}

Result<Range> ChooseFrames(const DetectionEvalOptions& options, const TruthByFrame& truth,
                           std::vector<std::string>* notes) {
  const Range labelled{truth.begin()->first, truth.rbegin()->first};
  if (options.first_frame == 0) return labelled;
  const Range chosen{options.first_frame, options.last_frame};
  if (chosen.first > labelled.last || chosen.last < labelled.first) {
    return Err(InvalidArgumentError(options.ground_truth + ": no labels in frames " +
                                    FrameRange(chosen.first, chosen.last) + "; it labels frames " +
                                    FrameRange(labelled.first, labelled.last)));
  }
  if (!options.labelled_only && (chosen.first < labelled.first || chosen.last > labelled.last)) {
    notes->push_back("only frames " + FrameRange(labelled.first, labelled.last) +
                     " are labelled; every detection in the others counts as wrong");
  }
  if (chosen.last - chosen.first >= kMostFrames) {
    return Err(ResourceExhaustedError("more than " + std::to_string(kMostFrames) +
                                      " frames; choose fewer with --frames"));
  }
  return chosen;
}

void AddNotes(const DetectionEvalOptions& options, const FrameRecords& records,
              DetectionReport* report) {
  if (!options.label.empty() && !records.labels.contains(options.label) &&
      !records.labels.empty()) {
    std::string have;
    for (const std::string& label : records.labels) {
      if (have.size() > 200) {
        have += ", …";
        break;
      }
      have += (have.empty() ? "" : ", ") + label;
    }
    report->notes.push_back("no detection has the class \"" + options.label +
                            "\"; the classes are: " + have);
  }
  if (report->frames_without_record > 0) {
    report->notes.push_back(std::to_string(report->frames_without_record) + " of " +
                            std::to_string(report->frames) +
                            " frames have no record; their labels count as missed");
  }
  if (!report->tracking_measured) {
    report->notes.push_back("the labels have no ids, so tracking was not measured");
  } else if (report->tracking.tracked_boxes == 0 && report->detections > 0) {
    report->notes.push_back("no detection belongs to a track; does the pipeline track?");
  }
}

std::vector<EvaluatedFrame> Join(const DetectionEvalOptions& options, Range range,
                                 TruthByFrame* truth, FrameRecords* records,
                                 DetectionReport* report) {
  std::vector<EvaluatedFrame> frames;
  for (std::int64_t number = range.first; number <= range.last; ++number) {
    const auto labels = truth->find(number);
    if (labels == truth->end() && options.labelled_only) continue;
    EvaluatedFrame& frame = frames.emplace_back();
    if (labels != truth->end()) frame.truth = std::move(labels->second);
    const auto record = records->frames.find(number);
    if (record == records->frames.end()) {
      ++report->frames_without_record;
    } else {
      frame.found = std::move(record->second);
    }
    for (const TruthBox& box : frame.truth) {
      ++(box.ignored ? report->ignored_boxes : report->ground_truth_boxes);
    }
    report->detections += static_cast<std::int64_t>(frame.found.size());
  }
  report->frames = static_cast<std::int64_t>(frames.size());
  return frames;
}

bool HasIds(const std::vector<EvaluatedFrame>& frames) {
  return std::ranges::all_of(frames, [](const EvaluatedFrame& frame) {
    return std::ranges::all_of(frame.truth, [](const TruthBox& box) { return box.id >= 0; });
  });
}

void AppendRow(std::string* out, const char* name, const std::string& value, const char* comment) {
  char line[160];
  const int n = std::snprintf(line, sizeof line, "  %-18s %9s  %s", name, value.c_str(), comment);
  out->append(line,
              std::min<std::size_t>(static_cast<std::size_t>(std::max(n, 0)), sizeof line - 1));
  out->erase(out->find_last_not_of(' ') + 1);
  *out += '\n';
}

std::string Decimal(double value) {
  char text[32];
  (void)std::snprintf(text, sizeof text, "%.4f", value);
  return text;
}

}  // namespace

Result<DetectionReport> EvaluateDetections(const DetectionEvalOptions& options) {
  SELVEDGE_ASSIGN_OR_RETURN(TruthByFrame truth, ReadTruth(options.ground_truth));
  SELVEDGE_ASSIGN_OR_RETURN(FrameRecords records,
                            ReadFrameRecords(options.events, {options.label, options.source}));
  DetectionReport report;
  SELVEDGE_ASSIGN_OR_RETURN(const Range range, ChooseFrames(options, truth, &report.notes));
  report.first_frame = range.first;
  report.last_frame = range.last;
  const std::vector<EvaluatedFrame> frames = Join(options, range, &truth, &records, &report);
  if (report.ground_truth_boxes == 0) {
    return Err(InvalidArgumentError(
        options.ground_truth + ": no box to find in frames " + FrameRange(range.first, range.last) +
        (report.ignored_boxes > 0 ? ": all are flagged as ignored" : "")));
  }
  report.ap50 = AveragePrecision(frames, 0.5F);
  report.ap50_95 = MeanAveragePrecision(frames);
  report.detection = MeasureDetection(frames, options.iou, options.score_threshold);
  report.tracking_measured = HasIds(frames);
  if (report.tracking_measured) {
    Result<TrackingAccuracy> tracking = MeasureTracking(frames, options.iou);
    if (!tracking) return Err(tracking.error().WithContext(options.events));
    report.tracking = *tracking;
  }
  AddNotes(options, records, &report);
  return report;
}

std::string ToTable(const DetectionEvalOptions& options, const DetectionReport& report) {
  std::string out = "frames " + FrameRange(report.first_frame, report.last_frame) + ", class " +
                    (options.label.empty() ? std::string("any") : options.label) + ", IoU " +
                    Decimal(options.iou).substr(0, 4) + "\n";
  AppendRow(&out, "frames", std::to_string(report.frames), "");
  AppendRow(&out, "ground truth boxes", std::to_string(report.ground_truth_boxes),
            (std::to_string(report.ignored_boxes) + " more are flagged as ignored").c_str());
  AppendRow(&out, "detections", std::to_string(report.detections), "");
  AppendRow(&out, "AP50", Decimal(report.ap50), "average precision at IoU 0.50");
  AppendRow(&out, "AP50-95", Decimal(report.ap50_95), "mean over IoU 0.50 to 0.95");
  const std::string at = "at score " + Decimal(options.score_threshold).substr(0, 4) + " and above";
  AppendRow(&out, "precision", Decimal(report.detection.precision()), at.c_str());
  AppendRow(&out, "recall", Decimal(report.detection.recall()), at.c_str());
  AppendRow(&out, "F1", Decimal(report.detection.f1()), at.c_str());
  if (!report.tracking_measured) return out;
  const TrackingAccuracy& tracking = report.tracking;
  const std::string counts = "missed " + std::to_string(tracking.misses) + ", false " +
                             std::to_string(tracking.false_positives) + ", switches " +
                             std::to_string(tracking.id_switches);
  AppendRow(&out, "MOTA", Decimal(tracking.mota()), counts.c_str());
  AppendRow(&out, "MOTP", Decimal(tracking.motp()), "mean IoU of matches");
  AppendRow(&out, "IDF1", Decimal(tracking.idf1()), "");
  AppendRow(&out, "id switches", std::to_string(tracking.id_switches), "");
  return out;
}

std::string ToJson(const DetectionEvalOptions& options, const DetectionReport& report) {
  nlohmann::ordered_json json;
  json["ap50"] = report.ap50;
  json["ap50_95"] = report.ap50_95;
  json["precision"] = report.detection.precision();
  json["recall"] = report.detection.recall();
  json["f1"] = report.detection.f1();
  const bool tracked = report.tracking_measured;
  const TrackingAccuracy& tracking = report.tracking;
  const auto number = [&](auto value) { return tracked ? nlohmann::ordered_json(value) : nullptr; };
  json["mota"] = number(tracking.mota());
  json["motp"] = number(tracking.motp());
  json["idf1"] = number(tracking.idf1());
  json["id_switches"] = number(tracking.id_switches);
  json["track_misses"] = number(tracking.misses);
  json["track_false_positives"] = number(tracking.false_positives);
  json["frames"] = report.frames;
  json["frames_without_record"] = report.frames_without_record;
  json["ground_truth_boxes"] = report.ground_truth_boxes;
  json["ignored_boxes"] = report.ignored_boxes;
  json["detections"] = report.detections;
  json["class"] = options.label;
  json["iou"] = std::stod(Decimal(options.iou));
  json["score_threshold"] = std::stod(Decimal(options.score_threshold));
  // A class name that is not UTF-8 must not throw.
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace selvedge
