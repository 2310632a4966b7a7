#include "device/decide/place_parse.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

namespace selvedge {

namespace {

std::string PointText(Point p) {
  return "[" + NumberText(p.x) + ", " + NumberText(p.y) + "]";
}

std::optional<Point> ParsePoint(const ConfigValue& value, CoordinateUnit unit) {
  const std::vector<ConfigValue> numbers = value.Sequence();
  if (numbers.size() != 2) {
    value.Error("a point is a list of two numbers, [x, y]");
    return std::nullopt;
  }
  const std::optional<double> x = numbers[0].Number();
  const std::optional<double> y = numbers[1].Number();
  if (!x || !y) return std::nullopt;
  const Point p{*x, *y};
  if (p.x < 0 || p.y < 0) {
    value.Error("point " + PointText(p) + " is outside the picture: coordinates start at 0");
    return std::nullopt;
  }
  if (unit == CoordinateUnit::kFraction && (p.x > 1 || p.y > 1)) {
    value.Error(
        "point " + PointText(p) +
        " is outside the picture: fractions go from 0 to 1 (write `unit: pixels` for pixels)");
    return std::nullopt;
  }
  return p;
}

CoordinateUnit ParseUnit(ConfigMap* map) {
  int unit = 0;
  map->OptionalChoice("unit", {"fraction", "pixels"}, &unit);
  return unit == 1 ? CoordinateUnit::kPixel : CoordinateUnit::kFraction;
}

// What is wrong with the polygon as a shape; empty where nothing is.
std::string PolygonFault(const std::vector<Point>& points) {
  const std::size_t n = points.size();
  if (n < 3 || n > kMaxPolygonPoints) {
    return "a zone has 3 to " + std::to_string(kMaxPolygonPoints) + " points, not " +
           std::to_string(n);
  }
  for (std::size_t i = 0; i < n; ++i) {
    if (points[i] == points[(i + 1) % n]) {
      return "point " + PointText(points[i]) + " is repeated; " +
             (i + 1 == n ? "a zone closes by itself, leave the last point out"
                         : "leave one of the two out");
    }
  }
  if (OnOneLine(points)) return "the zone has no area: its points lie on one line";
  if (const auto edges = FindSelfIntersection(points)) {
    const auto edge = [&](std::size_t i) {
      return PointText(points[i]) + "-" + PointText(points[(i + 1) % n]);
    };
    return "the zone's border crosses or touches itself: edge " + edge(edges->first) +
           " meets edge " + edge(edges->second) + "; list the points in their order round the zone";
  }
  return {};
}

template <typename T>
bool TooMany(ConfigMap* pipeline, std::string_view key, const std::vector<T>& entries) {
  if (entries.size() <= kMaxPlaces) return false;
  pipeline->Error(key, "at most " + std::to_string(kMaxPlaces) + " are allowed, these are " +
                           std::to_string(entries.size()));
  return true;
}

}  // namespace

std::string NameFault(std::string_view name) {
  if (name.empty()) return "a name must not be empty";
  if (name.size() > kMaxNameBytes) {
    return "the name " + QuoteForMessage(name) + " is longer than " +
           std::to_string(kMaxNameBytes) + " bytes";
  }
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7F; };
  if (std::ranges::any_of(name, is_control)) {
    return "the name " + QuoteForMessage(name) + " has control characters";
  }
  return {};
}

std::string NumberText(double v) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), v).ptr;
  return {text.data(), end};
}

std::string UnknownWord(std::string_view word, std::string_view what,
                        const std::vector<std::string>& known) {
  std::string message = QuoteForMessage(word) + " is not a known " + std::string(what);
  if (const std::string_view nearest = NearestWord(word, known); !nearest.empty()) {
    return message + "; did you mean " + QuoteForMessage(nearest) + "?";
  }
  if (known.empty()) return message + ": there is none";
  constexpr std::size_t kShown = 10;
  message += "; there is ";
  for (std::size_t i = 0; i < std::min(known.size(), kShown); ++i) {
    message += (i == 0 ? "" : ", ") + QuoteForMessage(known[i]);
  }
  if (known.size() > kShown) message += ", …";
  return message;
}

Status CheckInPicture(std::string_view what, std::span<const Point> points, int width, int height) {
  for (const Point p : points) {
    if (p.x >= 0 && p.y >= 0 && p.x <= width && p.y <= height) continue;
    return InvalidArgumentError(std::string(what) + ": point " + PointText(p) +
                                " is outside the picture of " + std::to_string(width) + " x " +
                                std::to_string(height) +
                                " pixels; correct the point, or give it in fractions");
  }
  return OkStatus();
}

std::vector<Zone> ParseZones(ConfigMap* pipeline) {
  std::vector<Zone> zones;
  std::optional<ConfigMap> map = pipeline->OptionalMap("zones");
  if (!map) return zones;
  const auto entries = map->Entries();
  if (TooMany(pipeline, "zones", entries)) return zones;
  for (const auto& [name, value] : entries) {
    std::optional<ConfigMap> body = value.Map();
    if (!body) continue;
    if (const std::string fault = NameFault(name); !fault.empty()) value.Error(fault);
    Zone zone{.name = name, .unit = ParseUnit(&*body)};
    bool good = true;
    for (const ConfigValue& item : body->RequiredSequence("points")) {
      const std::optional<Point> p = ParsePoint(item, zone.unit);
      good = good && p.has_value();
      if (p) zone.points.push_back(*p);
    }
    const std::string fault = good ? PolygonFault(zone.points) : "";
    if (!fault.empty()) body->Error("points", fault);
    zones.push_back(std::move(zone));
  }
  return zones;
}

std::vector<Line> ParseLines(ConfigMap* pipeline) {
  std::vector<Line> lines;
  std::optional<ConfigMap> map = pipeline->OptionalMap("lines");
  if (!map) return lines;
  const auto entries = map->Entries();
  if (TooMany(pipeline, "lines", entries)) return lines;
  for (const auto& [name, value] : entries) {
    std::optional<ConfigMap> body = value.Map();
    if (!body) continue;
    if (const std::string fault = NameFault(name); !fault.empty()) value.Error(fault);
    Line line{.name = name, .unit = ParseUnit(&*body)};
    bool good = true;
    const auto read = [&](std::string_view key, Point* out) {
      const std::optional<ConfigValue> item = body->Value(key);
      if (!item) body->Error(key, "is missing: a line goes from one point to another, each [x, y]");
      const std::optional<Point> p = item ? ParsePoint(*item, line.unit) : std::nullopt;
      good = good && p.has_value();
      if (p) *out = *p;
    };
    read("from", &line.from);
    read("to", &line.to);
    if (good && line.from == line.to)
      body->Error("to", "the line is one point: from and to are equal");
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace selvedge
