#pragma once

// What a RuleSet is made of: the rules as read, and what they remember. Internal to device/decide.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "device/decide/geometry.h"
#include "device/decide/rules.h"
#include "device/decide/track_slots.h"

namespace selvedge {

enum class RuleKind { kPresence, kZone, kLine, kDwell, kCount };
std::string_view RuleKindName(RuleKind kind);

enum class ReferencePoint { kBottomCentre, kCentre };
// Which of a kind's two states become events.
enum class ReportWhen { kBoth, kFirst, kSecond };
enum class LineDirection { kBoth, kAToB, kBToA };
enum class Comparison { kAtLeast, kMore, kAtMost, kLess, kEqual, kNotEqual };

inline constexpr double kDefaultMinScore = 0.5;

// A rule as the pipeline file has it; docs/formats/rules.md says what each key means.
struct Rule {
  RuleKind kind = RuleKind::kPresence;
  std::string name;
  int place = -1;  // index of the zone or line, -1 for the whole picture
  // By class: the least score, negative for a class that the rule does not watch. Empty: every
  // class there may be, at kDefaultMinScore or what `any_class_score` says.
  std::vector<float> min_score;
  float any_class_score = static_cast<float>(kDefaultMinScore);
  ReferencePoint point = ReferencePoint::kBottomCentre;
  ReportWhen when = ReportWhen::kBoth;
  Nanos cooldown = 0;
  Nanos max_gap = 5 * kSecond;

  int on_frames = 1;
  int of_frames = 1;
  Nanos on_after = -1;  // -1: by frames
  Nanos off_after = kSecond;

  int settle_frames = 2;
  double margin = 0;  // in the unit of the place; fractions of the picture's height
  LineDirection direction = LineDirection::kBoth;

  Nanos longer_than = 0;
  Nanos repeat = 0;  // 0: never
  Nanos grace = kSecond;

  Comparison compare = Comparison::kAtLeast;
  int value = 0;
  int hysteresis = 0;
  Nanos hold = 0;
  Nanos release = 0;

  // The score that a track of this class needs, negative where the rule does not watch the class.
  float MinScore(std::int32_t class_id) const {
    if (min_score.empty()) return any_class_score;
    const auto i = static_cast<std::size_t>(class_id);
    return class_id >= 0 && i < min_score.size() ? min_score[i] : -1;
  }
};

// What one rule remembers of one track. Times are of the rule's own clock.
struct TrackMemory {
  Point last;                // where it was last seen, pixels
  Nanos run_since = 0;       // first sighting of the run that is settling
  Nanos stay_since = 0;      // dwell: when the stay began
  Nanos last_inside = 0;     // dwell: last seen inside
  std::int64_t repeats = 0;  // dwell: repeats that are due or done
  float score = 0;           // the best so far
  float threshold = 0;
  std::int32_t run = 0;  // sightings in a row on the other side
  std::int32_t through =
      0;                 // line: passages through the segment since the side settled, a to b is +1
  std::int8_t side = 0;  // line: settled side, -1 is a, +1 is b, 0 is not known yet
  std::int8_t sign = 0;  // line: side of the last sighting that was not on the line
  bool known = false;    // reached its min_score
  bool inside = false;
  bool staying = false;   // dwell
  bool reported = false;  // its first state was an event
};

// What one rule remembers beside its tracks.
struct RuleMemory {
  Nanos clock = 0;       // sum of the steps between frames, each at most max_gap
  Nanos last_begin = 0;  // of the RuleSet's clock
  bool has_begun = false;
  std::uint64_t window = 0;  // presence: one bit per frame, the newest lowest
  Nanos since = 0;           // presence, count: when what must last began
  Nanos last_present = 0;
  bool lasting = false;  // `since` holds
  bool active = false;
  bool reported = false;
  int inside = 0;                   // count: tracks
  std::vector<TrackMemory> tracks;  // by slot
};

// A place in pixels of the current picture.
struct ScaledPlace {
  std::vector<Point> points;
  double unit_margin = 1;  // pixels per unit of margin
};

struct RuleSet::Impl {
  std::vector<Zone> zones;
  std::vector<Line> lines;
  std::vector<Rule> rules;

  int width = 0;
  int height = 0;
  std::vector<ScaledPlace> scaled_zones;
  std::vector<ScaledPlace> scaled_lines;
  std::vector<RuleMemory> memories;  // by rule
  int slots_ready = 0;               // size of every RuleMemory::tracks
  TrackSlots slots;
  std::vector<int> frame_slots;  // of the frame's tracks; -1 for one without memory
  std::uint64_t frame = 0;
  Nanos last_time = 0;
  Nanos clock = 0;  // sum of the steps between frames

  // Once, after parsing: takes the memory.
  void Prepare();
  void Reset();
  void Evaluate(const RuleInput& input, std::vector<RuleFiring>* out);

 private:
  void Resize(int new_width, int new_height);
  void Step(Nanos time);
  void GrowTo(int slots_needed);
  int NewSlot(std::int64_t id, std::vector<RuleFiring>* out);
  void AssignSlots(std::span<const Track> tracks, std::vector<RuleFiring>* out);
  void EndSlot(int slot, std::vector<RuleFiring>* out);
};

}  // namespace selvedge
