#pragma once

// RuleSet: from tracks to decisions. Format and exact meaning of every rule: docs/formats/rules.md.
//
// Pure: the rules' state, one frame's tracks and its capture time in, firings out. No I/O and no
// clock is read, so the same input from a fresh state always gives the same output, in the same
// order. Owned by the pipeline's decide stage; not thread-safe. Evaluate cannot fail and allocates
// nothing once the tables have grown to the number of simultaneous tracks (256 tracks are free,
// 1024 are the limit).

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/config.h"
#include "base/status.h"
#include "core/detection.h"
#include "device/decide/geometry.h"

namespace selvedge {

// A named polygon of the picture, as written in the pipeline file.
struct Zone {
  std::string name;
  CoordinateUnit unit = CoordinateUnit::kFraction;
  std::vector<Point> points;  // 3..64, closed by itself
};

// A named segment of the picture. Stand at `from` and look to `to`: side a is on the left, side b
// on the right, as seen in the picture.
struct Line {
  std::string name;
  CoordinateUnit unit = CoordinateUnit::kFraction;
  Point from;
  Point to;
};

// One processed frame. To be given for every frame, also one without tracks: time passes through
// frames.
struct RuleInput {
  Nanos time = 0;  // of the scene (Frame::scene_time), ascending
  int width = 0;   // of the picture, pixels
  int height = 0;
  std::span<const Track> tracks;        // boxes in source pixels; unmatched ones are predictions
  std::span<const std::int64_t> ended;  // ids that the tracker has given up since the last frame
};

// A decision. Every view lives as long as the RuleSet.
struct RuleFiring {
  int rule_index = 0;          // into the `rules` list
  std::string_view rule;       // its name
  std::string_view kind;       // "presence", "zone", "line", "dwell", "count"
  std::string_view state;      // "start", "end", "enter", "leave", "cross", "repeat"
  std::string_view zone;       // the zone's or the line's name; empty where the rule has none
  std::string_view direction;  // line only: "a-to-b", "b-to-a"
  std::int64_t track = 0;      // that made it fire; 0 where none did
  double value = 0;            // what was compared: a score, seconds in the zone, a count
  double threshold = 0;        // what it was compared with
};

class RuleSet {
 public:
  RuleSet();  // no rules
  ~RuleSet();
  RuleSet(RuleSet&&) noexcept;
  RuleSet& operator=(RuleSet&&) noexcept;

  // Reads the keys `zones`, `lines` and `rules` of a pipeline file. `labels` are the model card's,
  // in class order. Errors go to the document that `pipeline` belongs to (file, line, key), as for
  // every reader of base/config.h: use the result only if the document's status() is OK afterwards.
  static RuleSet Parse(ConfigMap* pipeline, const std::vector<std::string>& labels);

  // InvalidArgument where a zone or line given in pixels does not lie in a picture of this size:
  // call it with the first frame, and when the picture changes its size.
  Status CheckPicture(int width, int height) const;

  // Appends what fires at this frame: tracks that ended first, then rule by rule in file order,
  // within a rule in the order of `tracks`.
  void Evaluate(const RuleInput& input, std::vector<RuleFiring>* out);

  // Back to the state before the first frame.
  void Reset();

  std::size_t size() const;  // rules
  // For drawing; ToPixels in geometry.h scales them.
  std::span<const Zone> zones() const;
  std::span<const Line> lines() const;

  struct Impl;  // rule.h

 private:
  explicit RuleSet(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace selvedge
