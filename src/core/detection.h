#pragma once

// What detectors and trackers say about a frame.

#include <cstdint>
#include <vector>

namespace selvedge {

// Axis-aligned, in source pixels; x to the right, y down; (x1, y1) is inside, (x2, y2) just outside.
struct Box {
  float x1 = 0;
  float y1 = 0;
  float x2 = 0;
  float y2 = 0;

  float width() const { return x2 - x1; }
  float height() const { return y2 - y1; }
  float area() const {
    return width() > 0 && height() > 0 ? width() * height() : 0;
  }
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

}  // namespace selvedge
