#pragma once

// Recorded detections against labels: the measures of vision/accuracy.h over chosen frames, and how
// they are shown.

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "vision/accuracy.h"

namespace selvedge {

struct DetectionEvalOptions {
  std::string events;        // JSON lines
  std::string ground_truth;  // MOTChallenge
  std::string label = "person";
  std::string source;  // empty where the events are of one source
  float iou = 0.5F;
  float score_threshold = 0.5F;
  // MOTChallenge numbers, both included; 0: the labelled range, first to last frame with a label.
  std::int64_t first_frame = 0;
  std::int64_t last_frame = 0;
  bool labelled_only = false;  // only frames that have a label
};

struct DetectionReport {
  double ap50 = 0;
  double ap50_95 = 0;
  DetectionAccuracy detection;  // at the score threshold
  TrackingAccuracy tracking;
  bool tracking_measured = false;  // false where the labels have no ids
  std::int64_t first_frame = 0;
  std::int64_t last_frame = 0;
  std::int64_t frames = 0;
  std::int64_t frames_without_record = 0;
  std::int64_t ground_truth_boxes = 0;  // without ignored ones
  std::int64_t ignored_boxes = 0;
  std::int64_t detections = 0;
  std::vector<std::string> notes;  // what may surprise, one sentence each
};

Result<DetectionReport> EvaluateDetections(const DetectionEvalOptions& options);

std::string ToTable(const DetectionEvalOptions& options, const DetectionReport& report);
// One object in one line, without notes.
std::string ToJson(const DetectionEvalOptions& options, const DetectionReport& report);

}  // namespace selvedge
