#include "device/decide/geometry.h"

#include <algorithm>
#include <cmath>

namespace selvedge {

namespace {

// p is on the line through a and b: is it between them?
bool WithinBounds(Point a, Point b, Point p) {
  return p.x >= std::min(a.x, b.x) && p.x <= std::max(a.x, b.x) && p.y >= std::min(a.y, b.y) &&
         p.y <= std::max(a.y, b.y);
}

int Sign(double v) {
  return (v > 0) - (v < 0);
}

// From p to the segment a-b.
double SquaredDistance(Point a, Point b, Point p) {
  const double dx = b.x - a.x;
  const double dy = b.y - a.y;
  const double px = p.x - a.x;
  const double py = p.y - a.y;
  const double length2 = dx * dx + dy * dy;
  const double t = length2 > 0 ? std::clamp((px * dx + py * dy) / length2, 0.0, 1.0) : 0;
  return (px - t * dx) * (px - t * dx) + (py - t * dy) * (py - t * dy);
}

}  // namespace

Point ToPixels(Point p, CoordinateUnit unit, int width, int height) {
  return unit == CoordinateUnit::kPixel ? p : Point{p.x * width, p.y * height};
}

double Cross(Point a, Point b, Point p) {
  return (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x);
}

bool InPolygon(std::span<const Point> polygon, Point p) {
  bool inside = false;
  for (std::size_t i = 0, j = polygon.size() - 1; i < polygon.size(); j = i++) {
    const Point a = polygon[i];
    const Point b = polygon[j];
    const double cross = Cross(a, b, p);
    if (cross == 0 && WithinBounds(a, b, p)) return true;
    // A ray to the right. Half-open in y, so that a ray through a corner meets one of its two
    // edges.
    if ((a.y > p.y) != (b.y > p.y) && (cross > 0) == (b.y > a.y)) inside = !inside;
  }
  return inside;
}

double DistanceToSegment(Point a, Point b, Point p) {
  return std::sqrt(SquaredDistance(a, b, p));
}

double DistanceToBorder(std::span<const Point> polygon, Point p) {
  double best = HUGE_VAL;
  for (std::size_t i = 0, j = polygon.size() - 1; i < polygon.size(); j = i++) {
    best = std::min(best, SquaredDistance(polygon[j], polygon[i], p));
  }
  return std::sqrt(best);
}

bool SegmentsMeet(Point a, Point b, Point c, Point d) {
  const int abc = Sign(Cross(a, b, c));
  const int abd = Sign(Cross(a, b, d));
  const int cda = Sign(Cross(c, d, a));
  const int cdb = Sign(Cross(c, d, b));
  if (abc * abd < 0 && cda * cdb < 0) return true;
  return (abc == 0 && WithinBounds(a, b, c)) || (abd == 0 && WithinBounds(a, b, d)) ||
         (cda == 0 && WithinBounds(c, d, a)) || (cdb == 0 && WithinBounds(c, d, b));
}

std::optional<std::pair<std::size_t, std::size_t>> FindSelfIntersection(
    std::span<const Point> polygon) {
  const std::size_t n = polygon.size();
  for (std::size_t i = 0; i < n; ++i) {
    const Point a = polygon[i];
    const Point b = polygon[(i + 1) % n];
    for (std::size_t j = i + 1; j < n; ++j) {
      const Point c = polygon[j];
      const Point d = polygon[(j + 1) % n];
      const bool follows = j == i + 1;
      const bool precedes = (j + 1) % n == i;
      if (!follows && !precedes) {
        if (SegmentsMeet(a, b, c, d)) return std::pair{i, j};
        continue;
      }
      // Neighbours share a corner; more than that is a spike that runs back over the other edge.
      const Point corner = follows ? b : a;
      const Point one = follows ? a : b;
      const Point other = follows ? d : c;
      const bool same_line = Cross(one, corner, other) == 0;
      const double forward =
          (corner.x - one.x) * (other.x - corner.x) + (corner.y - one.y) * (other.y - corner.y);
      if (same_line && forward < 0) return std::pair{i, j};
    }
  }
  return std::nullopt;
}

bool OnOneLine(std::span<const Point> points) {
  if (points.size() < 3) return true;
  // The point farthest from the first gives the line; distances from it are compared with its
  // length.
  const Point a = points[0];
  Point b = a;
  for (const Point p : points) {
    if (std::hypot(p.x - a.x, p.y - a.y) > std::hypot(b.x - a.x, b.y - a.y)) b = p;
  }
  const double length2 = (b.x - a.x) * (b.x - a.x) + (b.y - a.y) * (b.y - a.y);
  return std::ranges::all_of(points,
                             [&](Point p) { return std::abs(Cross(a, b, p)) <= 1e-9 * length2; });
}

}  // namespace selvedge
