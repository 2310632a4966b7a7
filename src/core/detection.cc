#include "core/detection.h"

#include <algorithm>

namespace selvedge {

float Iou(const Box& a, const Box& b) {
  const float w = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  const float h = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (!(w > 0) || !(h > 0)) return 0;
  const float intersection = w * h;
  const float together = a.area() + b.area() - intersection;
  return together > 0 ? intersection / together : 0;
}

}  // namespace selvedge
