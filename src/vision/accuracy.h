#pragma once

// How right a detector and a tracker are, against boxes labelled by people.
//
// Ground truth may flag boxes as ignored (MOTChallenge: confidence 0; COCO: ignore): finding one is
// no error and missing it is none either. Everywhere a box is found where IoU >= `iou`. Pure
// functions over whole sequences; class labels are the caller's business (filter first). Allocates.

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "core/detection.h"

namespace selvedge {

struct TruthBox {
  Box box;
  std::int64_t id = -1;  // of the object, for the measures of tracking
  bool ignored = false;
};

// A frame without labels or without detections counts as well: leave that list empty.
struct EvaluatedFrame {
  std::vector<TruthBox> truth;
  Detections found;
};

// Average precision, 0..1: the area under precision over recall with all-point interpolation, p(r)
// = max of the precisions at recall >= r (Everingham et al., "The PASCAL VOC Challenge", 2010 and
// later; COCO samples the same curve at 101 points). Detections are taken by falling score, each
// claiming the unclaimed truth box it overlaps most, an ignored one only if no other will do. 0
// where there is no truth.
double AveragePrecision(std::span<const EvaluatedFrame> frames, float iou);

// Mean of AveragePrecision at IoU 0.50, 0.55, ... 0.95 (Lin et al., "Microsoft COCO", 2014).
double MeanAveragePrecision(std::span<const EvaluatedFrame> frames);

// Counts of detections scored `score` or more, claimed as for AveragePrecision.
struct DetectionAccuracy {
  std::int64_t true_positives = 0;
  std::int64_t false_positives = 0;
  std::int64_t misses = 0;

  double precision() const;  // of what was found, how much is there; 0 where nothing was found
  double recall() const;     // of what is there, how much was found; 0 where nothing is there
  double f1() const;         // harmonic mean of the two
};
DetectionAccuracy MeasureDetection(std::span<const EvaluatedFrame> frames, float iou, float score);

// CLEAR MOT (Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance", 2008)
// and the identity measure IDF1 (Ristani et al., "Performance Measures and a Data Set for
// Multi-Target, Multi-Camera Tracking", 2016), over detections with track_id >= 1 and truth with id
// >= 0.
struct TrackingAccuracy {
  std::int64_t truth_boxes = 0;    // not ignored
  std::int64_t tracked_boxes = 0;  // without those that fell on ignored truth
  std::int64_t matches = 0;        // true positives, switches included
  std::int64_t misses = 0;
  std::int64_t false_positives = 0;
  std::int64_t id_switches =
      0;                   // an object is followed by another track than the last time it was found
  double overlap_sum = 0;  // IoU over matches
  std::int64_t identity_matches =
      0;  // IDTP: boxes right under the best one-to-one naming of objects

  double mota() const;  // 1 - (misses + false positives + switches) / truth; may be negative
  double motp() const;  // mean IoU of matches, 0..1, more is better (MOTChallenge's form; the
                        // paper's is 1 - it)
  double idf1() const;  // 2 IDTP / (truth + tracked)
};

// Steps as published: a pairing of the frame before holds while it overlaps enough; the rest is
// assigned for the most matches, then the most overlap. Boxes that a plain assignment gives to
// ignored truth are taken out first, as MOTChallenge does. InvalidArgument where an id stands twice
// in a frame; ResourceExhausted where objects x tracks exceed 20 million.
Result<TrackingAccuracy> MeasureTracking(std::span<const EvaluatedFrame> frames, float iou);

}  // namespace selvedge
