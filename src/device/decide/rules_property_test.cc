// What must hold for any walk of any tracks, against models so simple that they are plainly right.

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "device/decide/rules.h"

namespace selvedge {
namespace {

constexpr int kSize = 100;  // of the picture, pixels, both ways

enum class What { kAbsent, kSeen, kPredicted, kEnded };

struct Move {
  What what = What::kAbsent;
  int x = 0;  // bottom centre
  int y = 0;
  int score = 0;  // per cent
};

// Of one frame: what each of the tracks 1..n does.
struct Step {
  int millis = 0;  // since the last frame
  std::vector<Move> moves;
};

std::ostream& operator<<(std::ostream& out, const Step& step) {
  out << '+' << step.millis << "ms";
  for (std::size_t i = 0; i < step.moves.size(); ++i) {
    const Move& move = step.moves[i];
    if (move.what == What::kAbsent) continue;
    out << (move.what == What::kEnded ? " x#" : " #") << i + 1
        << (move.what == What::kPredicted ? "? " : " ") << move.x << ',' << move.y << ' '
        << move.score;
  }
  return out;
}

// Coordinates on a coarse grid, so that points often lie on lines, borders and one another.
rc::Gen<Move> AnyMove() {
  return rc::gen::build<Move>(
      rc::gen::set(
          &Move::what,
          rc::gen::weightedElement<What>(
              {{1, What::kAbsent}, {12, What::kSeen}, {2, What::kPredicted}, {1, What::kEnded}})),
      rc::gen::set(&Move::x, rc::gen::map(rc::gen::inRange(0, 11), [](int v) { return 10 * v; })),
      rc::gen::set(&Move::y, rc::gen::map(rc::gen::inRange(0, 11), [](int v) { return 10 * v; })),
      rc::gen::set(&Move::score, rc::gen::inRange(30, 101)));
}

rc::Gen<std::vector<Step>> AnyWalk() {
  return rc::gen::scale(
      3, rc::gen::container<std::vector<Step>>(rc::gen::build<Step>(
             rc::gen::set(&Step::millis,
                          rc::gen::weightedOneOf<int>(
                              {{9, rc::gen::inRange(0, 200)}, {1, rc::gen::inRange(-3000, 9000)}})),
             rc::gen::set(&Step::moves, rc::gen::container<std::vector<Move>>(3, AnyMove())))));
}

// A firing that outlives its RuleSet.
struct Fired {
  std::size_t step;
  std::string rule;
  std::string state;
  std::string direction;
  std::int64_t track;
  double value;
  double threshold;
  bool operator==(const Fired&) const = default;
};

RuleSet Parse(const std::string& yaml) {
  Result<ConfigDocument> document = ConfigDocument::Parse(yaml, "rules");
  RC_ASSERT(document.has_value());
  RuleSet rules = [&] {
    ConfigMap root = document->Root();
    return RuleSet::Parse(&root, {"person"});
  }();
  if (!document->status().ok()) RC_FAIL(document->status().ToString());
  return rules;
}

std::vector<Fired> Play(RuleSet* rules, const std::vector<Step>& walk) {
  std::vector<Fired> all;
  std::vector<RuleFiring> out;
  Nanos now = 0;
  for (std::size_t i = 0; i < walk.size(); ++i) {
    now += walk[i].millis * kMillisecond;
    Tracks tracks;
    std::vector<std::int64_t> ended;
    for (std::size_t k = 0; k < walk[i].moves.size(); ++k) {
      const Move& move = walk[i].moves[k];
      const auto id = static_cast<std::int64_t>(k) + 1;
      if (move.what == What::kEnded) ended.push_back(id);
      if (move.what != What::kSeen && move.what != What::kPredicted) continue;
      Track track{.id = id,
                  .score = static_cast<float>(move.score) / 100,
                  .matched = move.what == What::kSeen};
      const auto x = static_cast<float>(move.x);
      const auto y = static_cast<float>(move.y);
      track.box = {x - 2, y - 8, x + 2, y};
      tracks.push_back(track);
    }
    out.clear();
    rules->Evaluate(
        {.time = now, .width = kSize, .height = kSize, .tracks = tracks, .ended = ended}, &out);
    for (const RuleFiring& f : out) {
      all.push_back({i, std::string(f.rule), std::string(f.state), std::string(f.direction),
                     f.track, f.value, f.threshold});
    }
  }
  return all;
}

constexpr const char* kEverything = R"(
zones:
  ell: {points: [[0.1, 0.1], [0.3, 0.1], [0.3, 0.7], [0.9, 0.7], [0.9, 0.9], [0.1, 0.9]]}
  right: {points: [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]}
lines:
  half: {from: [0, 0.5], to: [0.5, 0.5]}
  slope: {from: [0, 1], to: [1, 0]}
rules:
  - {name: seen, kind: presence, zone: right, on_frames: 2, of_frames: 3, off_after: 200ms}
  - {name: seen-long, kind: presence, on_after: 300ms, off_after: 0, cooldown: 1s}
  - {name: in, kind: zone, zone: ell}
  - {name: in-cooled, kind: zone, zone: right, settle_frames: 1, margin: 0.12, cooldown: 500ms}
  - {name: over, kind: line, line: half}
  - {name: over-slope, kind: line, line: slope, settle_frames: 3, margin: 0.05}
  - {name: loiter, kind: dwell, zone: right, longer_than: 400ms, repeat: 300ms, grace: 200ms, when: both}
  - {name: crowd, kind: count, compare: ">=", value: 2, hold: 100ms, release: 200ms}
  - {name: pair, kind: count, zone: right, compare: "==", value: 2, cooldown: 1s}
)";

RC_GTEST_PROP(Rules, SameInputSameFiringsInTheSameOrder, ()) {
  const auto walk = *AnyWalk();
  RuleSet one = Parse(kEverything);
  RuleSet other = Parse(kEverything);
  const auto first = Play(&one, walk);
  RC_ASSERT(Play(&other, walk) == first);
  one.Reset();
  RC_ASSERT(Play(&one, walk) == first);
}

RC_GTEST_PROP(Rules, BeginningsAndEndsAlternate, ()) {
  auto walk = *AnyWalk();
  // At the end everybody goes, and time passes.
  walk.push_back({.millis = 10, .moves = std::vector<Move>(3, Move{.what = What::kEnded})});
  for (int i = 0; i < 3; ++i) walk.push_back({.millis = 3000, .moves = {}});
  RuleSet rules = Parse(kEverything);
  std::map<std::pair<std::string, std::int64_t>, bool> open;
  for (const Fired& fired : Play(&rules, walk)) {
    if (fired.state == "cross") continue;
    const bool per_track = fired.rule.starts_with("in") || fired.rule == "loiter";
    bool& is_open = open[{fired.rule, per_track ? fired.track : 0}];
    if (fired.state == "repeat") {
      RC_ASSERT(is_open);
      continue;
    }
    const bool begins = fired.state == "enter" || fired.state == "start";
    RC_ASSERT(is_open != begins);
    is_open = begins;
  }
  for (const auto& [key, is_open] : open) RC_ASSERT(!is_open);
}

// What a rule with the default threshold has seen of a track: its sightings from the first
// confident one on, in lives that end where the tracker gave it up. Time steps play no part.
std::vector<std::vector<std::pair<std::size_t, Point>>> Lives(const std::vector<Step>& walk,
                                                              std::size_t track) {
  std::vector<std::vector<std::pair<std::size_t, Point>>> lives(1);
  for (std::size_t i = 0; i < walk.size(); ++i) {
    const Move& move = walk[i].moves[track];
    if (move.what == What::kEnded) lives.emplace_back();
    if (move.what != What::kSeen) continue;
    if (lives.back().empty() && static_cast<float>(move.score) / 100 < 0.5F) continue;
    lives.back().emplace_back(i, Point{static_cast<double>(move.x), static_cast<double>(move.y)});
  }
  return lives;
}

RC_GTEST_PROP(Rules, EntersAndLeavesAreThoseOfASimpleModel, ()) {
  const auto walk = *AnyWalk();
  const int settle = *rc::gen::inRange(1, 4);
  RuleSet rules = Parse(
      "zones: {box: {points: [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]}}\n"
      "rules: [{name: in, kind: zone, zone: box, settle_frames: " +
      std::to_string(settle) + "}]");
  std::set<std::tuple<std::size_t, std::int64_t, std::string>> expected;
  for (std::size_t track = 0; track < 3; ++track) {
    const auto lives = Lives(walk, track);
    std::vector<std::size_t> ends;
    for (std::size_t i = 0; i < walk.size(); ++i) {
      if (walk[i].moves[track].what == What::kEnded) ends.push_back(i);
    }
    for (std::size_t life = 0; life < lives.size(); ++life) {
      bool inside = false;
      int run = 0;
      for (const auto& [step, p] : lives[life]) {
        const bool now = p.x >= 20 && p.x <= 80 && p.y >= 20 && p.y <= 80;
        run = now == inside ? 0 : run + 1;
        if (run < settle) continue;
        inside = now;
        run = 0;
        expected.emplace(step, track + 1, now ? "enter" : "leave");
      }
      if (inside && life < ends.size()) expected.emplace(ends[life], track + 1, "leave");
    }
  }
  std::set<std::tuple<std::size_t, std::int64_t, std::string>> got;
  for (const Fired& fired : Play(&rules, walk)) got.emplace(fired.step, fired.track, fired.state);
  RC_ASSERT(got == expected);
}

// Over a line from edge to edge, crossings one way less those the other way are the change of side.
RC_GTEST_PROP(Rules, NetCrossingsAreSideChanges, ()) {
  const auto walk = *AnyWalk();
  const int settle = *rc::gen::inRange(1, 4);
  RuleSet rules = Parse(
      "lines: {middle: {from: [0, 0.5], to: [1, 0.5]}}\n"
      "rules: [{name: over, kind: line, line: middle, settle_frames: " +
      std::to_string(settle) + "}]");
  std::map<std::int64_t, int> net;
  for (const Fired& fired : Play(&rules, walk))
    net[fired.track] += fired.direction == "a-to-b" ? 1 : -1;
  for (std::size_t track = 0; track < 3; ++track) {
    int changes = 0;
    for (const auto& life : Lives(walk, track)) {
      // The side it was first on, and the one it settled on last. A point on the line is on no side
      // and settles nothing.
      int first = 0;
      int side = 0;
      int run = 0;
      for (const auto& [step, p] : life) {
        const int now = (p.y > 50) - (p.y < 50);
        if (now == 0) continue;
        if (first == 0) first = side = now;
        run = now == side ? 0 : run + 1;
        if (run < settle) continue;
        side = now;
        run = 0;
      }
      changes += (side - first) / 2;
    }
    RC_ASSERT(net[static_cast<std::int64_t>(track) + 1] == changes);
  }
}

// Over a line that ends within the picture: every step that changes sides through the segment, no
// other.
RC_GTEST_PROP(Rules, CrossingsOfAShortLineAreTheStepsThroughIt, ()) {
  const auto walk = *AnyWalk();
  RuleSet rules = Parse(
      "lines: {short: {from: [0.2, 0.35], to: [0.8, 0.65]}}\n"
      "rules: [{name: over, kind: line, line: short, settle_frames: 1}]");
  const Point a{20, 35};
  const Point b{80, 65};
  std::set<std::pair<std::size_t, std::int64_t>> expected;
  for (std::size_t track = 0; track < 3; ++track) {
    for (const auto& life : Lives(walk, track)) {
      int side = 0;
      for (std::size_t i = 0; i < life.size(); ++i) {
        const Point p = life[i].second;
        const double cross = Cross(a, b, p);
        const int now = (cross > 0) - (cross < 0);
        if (now == 0) continue;
        const bool changed = side != 0 && now != side;
        side = now;
        // Where the sighting before was on the line itself, it is that point that decides.
        if (changed && SegmentsMeet(a, b, life[i - 1].second, p)) {
          expected.emplace(life[i].first, static_cast<std::int64_t>(track) + 1);
        }
      }
    }
  }
  std::set<std::pair<std::size_t, std::int64_t>> got;
  for (const Fired& fired : Play(&rules, walk)) got.emplace(fired.step, fired.track);
  RC_ASSERT(got == expected);
}

RC_GTEST_PROP(Rules, CountIsTheNumberOfKnownTracks, ()) {
  const auto walk = *AnyWalk();
  RuleSet rules = Parse("rules: [{name: two, kind: count, compare: \">=\", value: 2}]");
  std::set<std::size_t> known;
  std::map<std::size_t, int> at;  // the count where the comparison changes
  bool active = false;
  for (std::size_t i = 0; i < walk.size(); ++i) {
    for (std::size_t track = 0; track < 3; ++track) {
      const Move& move = walk[i].moves[track];
      if (move.what == What::kEnded) known.erase(track);
      if (move.what == What::kSeen && static_cast<float>(move.score) / 100 >= 0.5F)
        known.insert(track);
    }
    if ((known.size() >= 2) != active) at[i] = static_cast<int>(known.size());
    active = known.size() >= 2;
  }
  std::map<std::size_t, int> got;
  for (const Fired& fired : Play(&rules, walk)) got[fired.step] = static_cast<int>(fired.value);
  RC_ASSERT(got == at);
}

RC_GTEST_PROP(Rules, DwellStartsOnceAStayAndNeverEarly, ()) {
  const auto walk = *AnyWalk();
  RuleSet rules = Parse(kEverything);
  for (const Fired& fired : Play(&rules, walk)) {
    if (fired.rule != "loiter") continue;
    RC_ASSERT(fired.value >= fired.threshold);
    RC_ASSERT(fired.threshold >= 0.4);
  }
}

RC_GTEST_PROP(Rules, CooldownHoldsBetweenBeginnings, ()) {
  auto walk = *AnyWalk();
  for (Step& step : walk) step.millis = std::abs(step.millis);
  RuleSet rules = Parse(kEverything);
  const std::map<std::string, int> cooldowns = {
      {"seen-long", 1000}, {"in-cooled", 500}, {"pair", 1000}};
  std::vector<std::int64_t> at(walk.size());
  std::int64_t now = 0;
  for (std::size_t i = 0; i < walk.size(); ++i) at[i] = now += walk[i].millis;
  std::map<std::string, std::int64_t> last;
  for (const Fired& fired : Play(&rules, walk)) {
    const auto it = cooldowns.find(fired.rule);
    if (it == cooldowns.end() || fired.state == "end" || fired.state == "leave") continue;
    if (last.contains(fired.rule)) RC_ASSERT(at[fired.step] - last[fired.rule] >= it->second);
    last[fired.rule] = at[fired.step];
  }
}

// A convex polygon by the other definition: on one side of all its edges.
RC_GTEST_PROP(Polygons, InsideATriangleIsOnOneSideOfItsEdges, ()) {
  const auto coordinate =
      rc::gen::map(rc::gen::inRange(-20, 21), [](int v) { return static_cast<double>(v); });
  const auto point = [&] { return Point{*coordinate, *coordinate}; };
  std::vector<Point> triangle = {point(), point(), point()};
  const Point p = point();
  RC_PRE(!OnOneLine(triangle));
  bool left = true;
  bool right = true;
  for (std::size_t i = 0; i < 3; ++i) {
    const double cross = Cross(triangle[i], triangle[(i + 1) % 3], p);
    left = left && cross <= 0;
    right = right && cross >= 0;
  }
  RC_ASSERT(InPolygon(triangle, p) == (left || right));
  std::ranges::reverse(triangle);
  RC_ASSERT(InPolygon(triangle, p) == (left || right));
}

}  // namespace
}  // namespace selvedge
