#include "device/decide/rule_kinds.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace selvedge {

namespace {

const ScaledPlace& PlaceOf(const RuleTurn& turn) {
  const auto i = static_cast<std::size_t>(turn.rule().place);
  return turn.rule().kind == RuleKind::kLine ? turn.set.scaled_lines[i] : turn.set.scaled_zones[i];
}

std::string_view PlaceName(const RuleTurn& turn) {
  const Rule& rule = turn.rule();
  if (rule.place < 0) return {};
  const auto i = static_cast<std::size_t>(rule.place);
  return rule.kind == RuleKind::kLine ? turn.set.lines[i].name : turn.set.zones[i].name;
}

// A box at the picture's edge may reach over it; its point does not.
Point PointOf(const RuleTurn& turn, const Box& box) {
  const double x = (static_cast<double>(box.x1) + box.x2) / 2;
  const double y = turn.rule().point == ReferencePoint::kCentre
                       ? (static_cast<double>(box.y1) + box.y2) / 2
                       : static_cast<double>(box.y2);
  return {std::clamp(x, 0.0, static_cast<double>(turn.set.width)),
          std::clamp(y, 0.0, static_cast<double>(turn.set.height))};
}

void Fire(const RuleTurn& turn, std::string_view state, std::int64_t track, double value,
          double threshold, std::string_view direction = {}) {
  turn.out->push_back({.rule_index = static_cast<int>(turn.index),
                       .rule = turn.rule().name,
                       .kind = RuleKindName(turn.rule().kind),
                       .state = state,
                       .zone = PlaceName(turn),
                       .direction = direction,
                       .track = track,
                       .value = value,
                       .threshold = threshold});
}

// Whether an event that the cooldown governs may be made now; if so, the cooldown starts.
bool Begin(const RuleTurn& turn) {
  RuleMemory& memory = turn.memory;
  if (memory.has_begun && turn.set.clock - memory.last_begin < turn.rule().cooldown) return false;
  memory.has_begun = true;
  memory.last_begin = turn.set.clock;
  return true;
}

// Whether the first of a kind's two states (start, enter) becomes an event. `reported` remembers
// it.
bool ReportFirst(const RuleTurn& turn, bool* reported) {
  if (turn.rule().when == ReportWhen::kSecond || !Begin(turn)) return false;
  *reported = true;
  return true;
}

bool ReportSecond(const RuleTurn& turn, bool* reported) {
  const bool was_reported = std::exchange(*reported, false);
  switch (turn.rule().when) {
    case ReportWhen::kFirst: return false;
    case ReportWhen::kSecond: return Begin(turn);
    case ReportWhen::kBoth: break;
  }
  return was_reported;
}

enum class Sighting { kUnclear, kInside, kOutside };

// Where the point is, and after `settle_frames` on the new side also where the track is
// (memory->inside).
Sighting UpdateMembership(const RuleTurn& turn, Point p, TrackMemory* memory) {
  const ScaledPlace& place = PlaceOf(turn);
  const bool inside = InPolygon(place.points, p);
  const double margin = turn.rule().margin * place.unit_margin;
  if (margin > 0 && DistanceToBorder(place.points, p) < margin) return Sighting::kUnclear;
  if (inside == memory->inside) {
    memory->run = 0;
  } else {
    if (memory->run == 0) memory->run_since = turn.memory.clock;
    if (++memory->run >= turn.rule().settle_frames) {
      memory->inside = inside;
      memory->run = 0;
    }
  }
  return inside ? Sighting::kInside : Sighting::kOutside;
}

void SeeInZone(const RuleTurn& turn, Point p, std::int64_t id, TrackMemory* memory) {
  const bool was_inside = memory->inside;
  UpdateMembership(turn, p, memory);
  if (memory->inside == was_inside) return;
  if (memory->inside) {
    if (ReportFirst(turn, &memory->reported)) {
      Fire(turn, "enter", id, memory->score, memory->threshold);
    }
  } else if (ReportSecond(turn, &memory->reported)) {
    Fire(turn, "leave", id, memory->score, memory->threshold);
  }
}

bool Wanted(LineDirection wanted, bool a_to_b) {
  return wanted == LineDirection::kBoth || (wanted == LineDirection::kAToB) == a_to_b;
}

// Whether the step from one sighting to the next led through the segment, its ends included, when
// it is known to lead to the other side of the line (or from the line to one side): then the ends
// of the segment must not both lie on the same side of the path. Signs only: no rounding of a point
// of intersection.
bool StepMeetsSegment(const ScaledPlace& line, Point from, Point to) {
  const double a = Cross(from, to, line.points[0]);
  const double b = Cross(from, to, line.points[1]);
  return (a <= 0 && b >= 0) || (a >= 0 && b <= 0);
}

void SeeAtLine(const RuleTurn& turn, Point p, std::int64_t id, TrackMemory* memory) {
  const ScaledPlace& line = PlaceOf(turn);
  const Point a = line.points[0];
  const Point b = line.points[1];
  const double cross = Cross(a, b, p);
  const auto sign = static_cast<std::int8_t>((cross > 0) - (cross < 0));
  if (sign != 0) {
    if (memory->sign == -sign && StepMeetsSegment(line, memory->last, p)) memory->through += sign;
    memory->sign = sign;
  }
  memory->last = p;

  const double distance = std::abs(cross) / std::hypot(b.x - a.x, b.y - a.y);
  if (sign == 0 || distance < turn.rule().margin * line.unit_margin) return;
  if (memory->side == 0) {
    memory->side = sign;
    memory->through = 0;
  } else if (sign == memory->side) {
    memory->run = 0;
    memory->through = 0;
  } else if (++memory->run >= turn.rule().settle_frames) {
    const bool crossed = memory->through * sign > 0;
    memory->side = sign;
    memory->run = 0;
    memory->through = 0;
    const bool a_to_b = sign > 0;
    if (crossed && Wanted(turn.rule().direction, a_to_b) && Begin(turn)) {
      Fire(turn, "cross", id, memory->score, memory->threshold, a_to_b ? "a-to-b" : "b-to-a");
    }
  }
}

void EndStay(const RuleTurn& turn, std::int64_t id, TrackMemory* memory) {
  if (!std::exchange(memory->staying, false)) return;
  const Nanos stay = memory->last_inside - memory->stay_since;
  const bool reached = stay >= turn.rule().longer_than;
  if (reached && ReportSecond(turn, &memory->reported)) {
    Fire(turn, "end", id, ToSeconds(stay), ToSeconds(turn.rule().longer_than));
  }
  memory->reported = false;
}

void SeeDwelling(const RuleTurn& turn, Point p, std::int64_t id, TrackMemory* memory) {
  const Rule& rule = turn.rule();
  const Nanos now = turn.memory.clock;
  const Sighting sighting = UpdateMembership(turn, p, memory);
  if (!memory->inside) {
    if (memory->staying && now - memory->last_inside >= rule.grace) EndStay(turn, id, memory);
    return;
  }
  if (sighting == Sighting::kOutside) return;  // on its way out, not settled yet
  if (!memory->staying) {
    memory->staying = true;
    memory->stay_since = memory->run_since;
    memory->repeats = 0;
  }
  memory->last_inside = now;
  const Nanos stay = now - memory->stay_since;
  if (stay < rule.longer_than) return;
  const std::int64_t passed = rule.repeat > 0 ? (stay - rule.longer_than) / rule.repeat : 0;
  const bool first = !memory->reported;
  if (!first && passed <= memory->repeats) return;
  if (first ? !ReportFirst(turn, &memory->reported) : !Begin(turn)) return;
  memory->repeats = passed;
  const Nanos threshold = rule.longer_than + (first ? 0 : passed * rule.repeat);
  Fire(turn, first ? "start" : "repeat", id, ToSeconds(stay), ToSeconds(threshold));
}

void SeeToCount(const RuleTurn& turn, Point p, TrackMemory* memory) {
  const bool was_inside = memory->inside;
  if (turn.rule().place < 0) {
    memory->inside = true;
  } else {
    UpdateMembership(turn, p, memory);
  }
  turn.memory.inside += static_cast<int>(memory->inside) - static_cast<int>(was_inside);
}

void SeeTrack(const RuleTurn& turn, const Track& track, TrackMemory* memory) {
  if (!memory->known) {
    const float needed = turn.rule().MinScore(track.class_id);
    if (needed < 0 || !(track.score >= needed)) return;
    memory->known = true;
    memory->threshold = needed;
  }
  memory->score = std::max(memory->score, track.score);
  const Point p = PointOf(turn, track.box);
  switch (turn.rule().kind) {
    case RuleKind::kZone: return SeeInZone(turn, p, track.id, memory);
    case RuleKind::kLine: return SeeAtLine(turn, p, track.id, memory);
    case RuleKind::kDwell: return SeeDwelling(turn, p, track.id, memory);
    case RuleKind::kCount: return SeeToCount(turn, p, memory);
    case RuleKind::kPresence: return;
  }
}

// The best-scored track that makes the class present, nullptr where none does.
const Track* FindPresent(const RuleTurn& turn, std::span<const Track> tracks) {
  const Track* best = nullptr;
  for (const Track& track : tracks) {
    const float needed = turn.rule().MinScore(track.class_id);
    if (!IsSeen(track) || needed < 0 || !(track.score >= needed)) continue;
    if (best != nullptr && track.score <= best->score) continue;
    if (turn.rule().place >= 0 && !InPolygon(PlaceOf(turn).points, PointOf(turn, track.box)))
      continue;
    best = &track;
  }
  return best;
}

void EvaluatePresence(const RuleTurn& turn, std::span<const Track> tracks) {
  const Rule& rule = turn.rule();
  RuleMemory& memory = turn.memory;
  const Track* best = FindPresent(turn, tracks);
  memory.window = memory.window << 1 | static_cast<std::uint64_t>(best != nullptr);
  if (best == nullptr) {
    memory.lasting = false;
    const Nanos away = memory.clock - memory.last_present;
    if (!memory.active || away < rule.off_after) return;
    memory.active = false;
    memory.window = 0;
    if (ReportSecond(turn, &memory.reported)) {
      Fire(turn, "end", 0, ToSeconds(away), ToSeconds(rule.off_after));
    }
    return;
  }
  memory.last_present = memory.clock;
  if (!memory.lasting) memory.since = memory.clock;
  memory.lasting = true;
  if (!memory.active) {
    const std::uint64_t frames = ~std::uint64_t{0} >> (64 - rule.of_frames);
    memory.active = rule.on_after >= 0 ? memory.clock - memory.since >= rule.on_after
                                       : std::popcount(memory.window & frames) >= rule.on_frames;
  }
  if (memory.active && !memory.reported && ReportFirst(turn, &memory.reported)) {
    Fire(turn, "start", best->id, best->score, rule.MinScore(best->class_id));
  }
}

// Whether the comparison holds; once started, hysteresis makes it hold on.
bool Holds(const Rule& rule, int count, bool started) {
  const int slack = started ? rule.hysteresis : 0;
  switch (rule.compare) {
    case Comparison::kAtLeast: return count >= rule.value - slack;
    case Comparison::kMore: return count > rule.value - slack;
    case Comparison::kAtMost: return count <= rule.value + slack;
    case Comparison::kLess: return count < rule.value + slack;
    case Comparison::kEqual: return count == rule.value;
    case Comparison::kNotEqual: return count != rule.value;
  }
  return false;
}

void EvaluateCount(const RuleTurn& turn) {
  const Rule& rule = turn.rule();
  RuleMemory& memory = turn.memory;
  if (Holds(rule, memory.inside, memory.active) == memory.active) {
    memory.lasting = false;
  } else {
    if (!memory.lasting) memory.since = memory.clock;
    memory.lasting = true;
    if (memory.clock - memory.since >= (memory.active ? rule.release : rule.hold)) {
      memory.active = !memory.active;
      memory.lasting = false;
      if (!memory.active && ReportSecond(turn, &memory.reported)) {
        Fire(turn, "end", 0, memory.inside, rule.value);
      }
    }
  }
  if (memory.active && !memory.reported && ReportFirst(turn, &memory.reported)) {
    Fire(turn, "start", 0, memory.inside, rule.value);
  }
}

}  // namespace

std::string_view RuleKindName(RuleKind kind) {
  switch (kind) {
    case RuleKind::kPresence: return "presence";
    case RuleKind::kZone: return "zone";
    case RuleKind::kLine: return "line";
    case RuleKind::kDwell: return "dwell";
    case RuleKind::kCount: return "count";
  }
  return "";
}

bool IsSeen(const Track& track) {
  return track.matched && std::isfinite(track.box.x1) && std::isfinite(track.box.y1) &&
         std::isfinite(track.box.x2) && std::isfinite(track.box.y2);
}

void EvaluateRule(const RuleTurn& turn, std::span<const Track> tracks, std::span<const int> slots) {
  if (turn.rule().kind == RuleKind::kPresence) return EvaluatePresence(turn, tracks);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i] < 0 || !IsSeen(tracks[i])) continue;
    SeeTrack(turn, tracks[i], &turn.memory.tracks[static_cast<std::size_t>(slots[i])]);
  }
  if (turn.rule().kind == RuleKind::kCount) EvaluateCount(turn);
}

void EndTrackOfRule(const RuleTurn& turn, int slot, std::int64_t id) {
  TrackMemory& memory = turn.memory.tracks[static_cast<std::size_t>(slot)];
  switch (turn.rule().kind) {
    case RuleKind::kZone:
      if (memory.inside && ReportSecond(turn, &memory.reported)) {
        Fire(turn, "leave", id, memory.score, memory.threshold);
      }
      break;
    case RuleKind::kDwell: EndStay(turn, id, &memory); break;
    case RuleKind::kCount: turn.memory.inside -= static_cast<int>(memory.inside); break;
    case RuleKind::kPresence:
    case RuleKind::kLine: break;
  }
}

}  // namespace selvedge
