#pragma once

// Reading `zones` and `lines` of a pipeline file, and the checks they share. Internal to
// device/decide.
//
// Errors go to the document, as for every reader of base/config.h.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/status.h"
#include "device/decide/rules.h"

namespace selvedge {

inline constexpr std::size_t kMaxPlaces = 64;  // zones, lines, and rules as well
inline constexpr std::size_t kMaxPolygonPoints = 64;
inline constexpr std::size_t kMaxNameBytes = 100;

std::vector<Zone> ParseZones(ConfigMap* pipeline);
std::vector<Line> ParseLines(ConfigMap* pipeline);

// What is wrong with the name of a zone, line or rule, which events, logs and pictures will show;
// empty where nothing is.
std::string NameFault(std::string_view name);

// `"word" is not a known WHAT; did you mean "…"?`, or the list of what there is.
std::string UnknownWord(std::string_view word, std::string_view what,
                        const std::vector<std::string>& known);

// Shortest text that reads back as `v`.
std::string NumberText(double v);

// OK, or says which place (`what` is "zone lawn") has which point outside a picture of this size.
Status CheckInPicture(std::string_view what, std::span<const Point> points, int width, int height);

}  // namespace selvedge
