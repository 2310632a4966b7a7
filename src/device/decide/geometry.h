#pragma once

// Plane geometry of zones and lines. Pure functions on pixels; x to the right, y down.
// The border belongs to the polygon: a point on an edge is inside, as exactly as doubles can tell.

#include <cstddef>
#include <optional>
#include <span>
#include <utility>

namespace selvedge {

struct Point {
  double x = 0;
  double y = 0;
  bool operator==(const Point&) const = default;
};

// How the coordinates of a zone or line are written.
enum class CoordinateUnit {
  kFraction,  // 0..1 of the picture's width and height
  kPixel,     // of the source picture
};

// `p` of a picture of this size, in pixels.
Point ToPixels(Point p, CoordinateUnit unit, int width, int height);

// Twice the signed area of the triangle (a, b, p): > 0 where p is to the right of a -> b as seen in
// the picture (y down), < 0 to the left, 0 on the line through both.
double Cross(Point a, Point b, Point p);

// Even-odd rule (Shimrat 1962, "Algorithm 112: Position of point relative to polygon"), border
// included.
bool InPolygon(std::span<const Point> polygon, Point p);

// Distance from p to the segment a-b, and to the nearest edge of the polygon.
double DistanceToSegment(Point a, Point b, Point p);
double DistanceToBorder(std::span<const Point> polygon, Point p);

// Whether segments a-b and c-d have a point in common, touching included.
bool SegmentsMeet(Point a, Point b, Point c, Point d);

// The first two edges (each named by the index of its first point) that meet although they are not
// neighbours, or that are neighbours and overlap; nullopt for a simple polygon.
std::optional<std::pair<std::size_t, std::size_t>> FindSelfIntersection(
    std::span<const Point> polygon);

// Whether the points lie on one line (within a billionth of their extent), so that they enclose no
// area.
bool OnOneLine(std::span<const Point> points);

}  // namespace selvedge
