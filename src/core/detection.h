#pragma once

// What detectors and trackers say about a frame.

#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace selvedge {

// Axis-aligned, in source pixels; x to the right, y down; (x1, y1) is inside, (x2, y2) just
// outside.
struct Box {
  float x1 = 0;
  float y1 = 0;
  float x2 = 0;
  float y2 = 0;

  float width() const { return x2 - x1; }
  float height() const { return y2 - y1; }
  float area() const { return width() > 0 && height() > 0 ? width() * height() : 0; }
};

// Intersection over union, 0..1; 0 where either is empty.
float Iou(const Box& a, const Box& b);

struct Detection {
  Box box;
  float score = 0;             // 0..1
  std::int32_t class_id = 0;   // index into the model card's labels
  std::int64_t track_id = -1;  // stable across frames; -1 where not tracked
};

// Reused from frame to frame: clear() keeps the memory.
using Detections = std::vector<Detection>;

// One object followed over time, as the tracker sees it after a frame.
struct Track {
  std::int64_t id = 0;  // from 1, never reused within a run
  std::int32_t class_id = 0;
  Box box;               // estimate at the frame's capture time, source pixels
  float velocity_x = 0;  // of the box centre, source pixels per second
  float velocity_y = 0;
  float score = 0;        // of the last detection matched to it
  Nanos first_seen = 0;   // capture time of its first detection
  Nanos last_seen = 0;    // capture time of its last matched detection
  std::int32_t hits = 0;  // detections matched so far
  bool matched = false;   // to a detection of this very frame (else the box is a prediction)
};

using Tracks = std::vector<Track>;

}  // namespace selvedge
