#pragma once

// Non-maximum suppression: of boxes of one class that overlap, the best stays.
//
// Greedy: boxes are taken by falling score, and one whose intersection over union with a box of its
// class already taken is above `iou` is dropped; it stops at `max_detections`. Boxes of different
// classes never suppress each other. In place, allocates nothing. O(n log n + n * kept).
// Deterministic: equal scores are ordered by class and then by position.

#include "core/detection.h"

namespace selvedge {

// Leaves the survivors in *detections, by falling score. `iou` of 1 or more only sorts and cuts.
void SuppressNonMaxima(float iou, int max_detections, Detections* detections);

}  // namespace selvedge
