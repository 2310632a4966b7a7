#include "vision/nms.h"

#include <algorithm>
#include <cstddef>
#include <tuple>
#include <utility>

namespace selvedge {
namespace {

bool ComesFirst(const Detection& a, const Detection& b) {
  if (a.score != b.score) return a.score > b.score;
  return std::tie(a.class_id, a.box.y1, a.box.x1, a.box.y2, a.box.x2) <
         std::tie(b.class_id, b.box.y1, b.box.x1, b.box.y2, b.box.x2);
}

// IoU(a, b) > limit, without the division.
bool OverlapsMoreThan(float limit, const Box& a, const Box& b) {
  const float w = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  const float h = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (!(w > 0) || !(h > 0)) return false;
  const float intersection = w * h;
  return intersection > limit * (a.area() + b.area() - intersection);
}

}  // namespace

void SuppressNonMaxima(float iou, int max_detections, Detections* detections) {
  Detections& d = *detections;
  std::sort(d.begin(), d.end(), ComesFirst);
  const std::size_t most = max_detections > 0 ? static_cast<std::size_t>(max_detections) : 0;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < d.size() && kept < most; ++i) {
    const auto suppresses = [&](const Detection& better) {
      return better.class_id == d[i].class_id && OverlapsMoreThan(iou, better.box, d[i].box);
    };
    if (std::any_of(d.begin(), d.begin() + static_cast<std::ptrdiff_t>(kept), suppresses)) continue;
    if (kept != i) d[kept] = d[i];
    ++kept;
  }
  d.resize(kept);
}

}  // namespace selvedge
