#pragma once

// MOTChallenge text files: ground truth and results of detectors and trackers.
//
// One box a line, comma-separated: frame,id,left,top,width,height[,confidence[,x,y,z]] (2015) or
// frame,id,left,top,width,height,flag,class,visibility (2016 and later). Frames count from 1; left,
// top, width and height are pixels. In ground truth a confidence of 0 flags a box that is not to be
// evaluated: see accuracy.h. The columns after the seventh are read as numbers and not used.
// Format: Leal-Taixe et al., "MOTChallenge 2015", arXiv:1504.01942, section 3.3.
//
// Pure functions. Errors are InvalidArgument or ResourceExhausted and say "name:line: what is
// wrong".

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "core/detection.h"

namespace selvedge {

struct MotEntry {
  std::int32_t frame = 0;  // from 1
  std::int64_t id = -1;    // -1 where a file of detections has none
  Box box;
  float confidence = 1;
};

struct MotLimits {
  std::size_t max_bytes = 256U << 20U;
  std::size_t max_entries = 5'000'000;
  std::int32_t max_frame = 10'000'000;
};

// In file order. `name` is what messages call the text. Blank lines and "\r\n" are fine; an id seen
// twice in one frame, a number that is not finite, a negative size, a missing column are errors; so
// is an empty file.
Result<std::vector<MotEntry>> ParseMot(std::string_view text, std::string_view name,
                                       const MotLimits& limits = {});

// NotFound and so on where the file cannot be read.
Result<std::vector<MotEntry>> LoadMot(const std::string& path, const MotLimits& limits = {});

}  // namespace selvedge
