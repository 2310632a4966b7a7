#include "vision/mot.h"

#include <array>
#include <charconv>
#include <cmath>
#include <unordered_set>
#include <utility>

#include "base/file.h"

namespace selvedge {
namespace {

constexpr std::size_t kFewestColumns = 6;
constexpr std::size_t kMostColumns = 10;
constexpr std::array<std::string_view, kMostColumns> kColumns = {
    "frame",  "id",         "left",       "top",        "width",
    "height", "confidence", "8th column", "9th column", "10th column"};
constexpr double kLargestId = 9007199254740992;  // 2^53: beyond it a double is no exact integer
constexpr double kLargestCoordinate = 1e7;

std::string_view Trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::string Quoted(std::string_view text) {
  constexpr std::size_t kLongest = 40;
  std::string out = "\"";
  for (const char c : text.substr(0, kLongest)) out += c >= ' ' && c < 127 ? c : '?';
  return out + (text.size() > kLongest ? "...\"" : "\"");
}

Result<double> ParseNumber(std::string_view text, std::size_t column) {
  double value = 0;
  const std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || !std::isfinite(value)) {
    return Err(InvalidArgumentError(std::string(kColumns[column]) + " is " + Quoted(text) +
                                    ", not a number"));
  }
  return value;
}

bool IsWhole(double value, double least, double most) {
  return value >= least && value <= most && value == std::floor(value);
}

// One line that is not blank, without its place.
Result<MotEntry> ParseLine(std::string_view line, const MotLimits& limits) {
  std::array<double, kMostColumns> values = {};
  std::size_t count = 0;
  for (std::size_t start = 0; start <= line.size(); ++count) {
    if (count == kMostColumns) return Err(InvalidArgumentError("more than 10 columns"));
    const std::size_t comma = std::min(line.find(',', start), line.size());
    SELVEDGE_ASSIGN_OR_RETURN(values[count],
                              ParseNumber(Trim(line.substr(start, comma - start)), count));
    start = comma + 1;
  }
  if (count < kFewestColumns) {
    return Err(InvalidArgumentError(
        std::to_string(count) +
        " columns where frame,id,left,top,width,height,confidence are expected"));
  }
  if (!IsWhole(values[0], 1, limits.max_frame)) {
    return Err(InvalidArgumentError("frame must be a whole number from 1 to " +
                                    std::to_string(limits.max_frame)));
  }
  if (!IsWhole(values[1], -1, kLargestId)) {
    return Err(InvalidArgumentError("id must be a whole number, or -1 for none"));
  }
  for (std::size_t i = 2; i < kFewestColumns; ++i) {
    if (!(std::abs(values[i]) <= kLargestCoordinate)) {
      return Err(InvalidArgumentError(std::string(kColumns[i]) + " is beyond 10,000,000 pixels"));
    }
  }
  if (values[4] < 0 || values[5] < 0) {
    return Err(InvalidArgumentError("width and height must not be negative"));
  }
  MotEntry entry;
  entry.frame = static_cast<std::int32_t>(values[0]);
  entry.id = static_cast<std::int64_t>(values[1]);
  entry.box = {static_cast<float>(values[2]), static_cast<float>(values[3]),
               static_cast<float>(values[2] + values[4]),
               static_cast<float>(values[3] + values[5])};
  if (count > kFewestColumns) entry.confidence = static_cast<float>(values[6]);
  return entry;
}

}  // namespace

Result<std::vector<MotEntry>> ParseMot(std::string_view text, std::string_view name,
                                       const MotLimits& limits) {
  struct Hash {
    std::size_t operator()(const std::pair<std::int32_t, std::int64_t>& key) const {
      return static_cast<std::size_t>(key.second) * 1000003U + static_cast<std::size_t>(key.first);
    }
  };
  std::vector<MotEntry> entries;
  std::unordered_set<std::pair<std::int32_t, std::int64_t>, Hash> seen;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    const std::string place = std::string(name) + ":" + std::to_string(number);
    Result<MotEntry> entry = ParseLine(line, limits);
    if (!entry) return Err(entry.error().WithContext(place));
    if (entry->id >= 0 && !seen.emplace(entry->frame, entry->id).second) {
      return Err(InvalidArgumentError("id " + std::to_string(entry->id) +
                                      " stands twice in frame " + std::to_string(entry->frame))
                     .WithContext(place));
    }
    if (entries.size() == limits.max_entries) {
      return Err(ResourceExhaustedError("more than " + std::to_string(limits.max_entries) +
                                        " boxes; split the file")
                     .WithContext(place));
    }
    entries.push_back(*entry);
  }
  if (entries.empty()) {
    return Err(InvalidArgumentError(
        std::string(name) + ": no boxes; a MOTChallenge file has lines like 1,7,10,20,30,60,1"));
  }
  return entries;
}

Result<std::vector<MotEntry>> LoadMot(const std::string& path, const MotLimits& limits) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, limits.max_bytes));
  return ParseMot(text, path, limits);
}

}  // namespace selvedge
