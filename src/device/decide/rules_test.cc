// What scenarios cannot say: memory, limits, non-numbers, and the parts of the interface beside
// firing. What fires when is in test/scenario/decide.

#include "device/decide/rules.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <iostream>
#include <limits>
#include <set>

#include "base/allocation_counter.h"

namespace selvedge {
namespace {

constexpr const char* kFiveRules = R"(
zones:
  right: {points: [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]}
  ell: {unit: pixels, points: [[10, 10], [30, 10], [30, 70], [90, 70], [90, 90], [10, 90]]}
lines:
  middle: {from: [0, 0.5], to: [1, 0.5]}
rules:
  - {name: seen, kind: presence, zone: right, on_frames: 2, of_frames: 3, off_after: 200ms}
  - {name: in, kind: zone, zone: ell, margin: 2}
  - {name: over, kind: line, line: middle}
  - {name: loiter, kind: dwell, zone: right, longer_than: 1s, repeat: 1s}
  - {name: crowd, kind: count, zone: right, compare: ">=", value: 4}
)";

RuleSet Parse(const std::string& yaml, Status* status = nullptr) {
  Result<ConfigDocument> document = ConfigDocument::Parse(yaml, "pipeline.yaml");
  EXPECT_TRUE(document);
  RuleSet rules = [&] {
    ConfigMap root = document->Root();
    return RuleSet::Parse(&root, {"person", "car"});
  }();
  if (status != nullptr) {
    *status = document->status();
  } else {
    EXPECT_TRUE(document->status().ok()) << document->status().ToString();
  }
  return rules;
}

Track At(std::int64_t id, double x, double y) {
  Track track{.id = id, .score = 0.9F, .matched = true};
  track.box = {static_cast<float>(x - 2), static_cast<float>(y - 8), static_cast<float>(x + 2),
               static_cast<float>(y)};
  return track;
}

// Ten tracks that walk over lines and borders.
void Walk(int frame, Tracks* tracks) {
  tracks->clear();
  for (int i = 0; i < 10; ++i) {
    tracks->push_back(
        At(i + 1, 50 + 45 * std::sin(0.05 * frame + i), 50 + 40 * std::cos(0.07 * frame + i)));
  }
}

TEST(RuleSet, WithoutRulesNothingFires) {
  RuleSet rules;
  std::vector<RuleFiring> out;
  const Tracks tracks = {At(1, 50, 50)};
  rules.Evaluate({.time = 1, .width = 100, .height = 100, .tracks = tracks}, &out);
  EXPECT_TRUE(out.empty());
  EXPECT_EQ(rules.size(), 0U);
  EXPECT_TRUE(rules.CheckPicture(1, 1).ok());
  EXPECT_EQ(Parse("{}").size(), 0U);
}

TEST(RuleSet, TellsPlacesForDrawing) {
  const RuleSet rules = Parse(kFiveRules);
  EXPECT_EQ(rules.size(), 5U);
  ASSERT_EQ(rules.zones().size(), 2U);
  EXPECT_EQ(rules.zones()[1].name, "ell");
  EXPECT_EQ(rules.zones()[1].unit, CoordinateUnit::kPixel);
  EXPECT_EQ(rules.zones()[1].points.size(), 6U);
  ASSERT_EQ(rules.lines().size(), 1U);
  EXPECT_EQ(ToPixels(rules.lines()[0].to, rules.lines()[0].unit, 768, 576), (Point{768, 288}));
}

TEST(RuleSet, PictureThatIsTooSmallForPixelsIsRefused) {
  const RuleSet rules = Parse(kFiveRules);
  EXPECT_TRUE(rules.CheckPicture(90, 90).ok());
  const Status status = rules.CheckPicture(89, 100);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find(
                "zone \"ell\": point [90, 70] is outside the picture of 89 x 100 pixels"),
            std::string::npos)
      << status.message();
}

TEST(RuleSet, ViewsOutliveAMove) {
  RuleSet first = Parse(kFiveRules);
  std::vector<RuleFiring> out;
  const Tracks tracks = {At(1, 70, 70)};
  const RuleInput input{.time = 0, .width = 100, .height = 100, .tracks = tracks};
  first.Evaluate(input, &out);
  first.Evaluate(input, &out);
  ASSERT_FALSE(out.empty());
  RuleSet second = std::move(first);
  EXPECT_EQ(out[0].rule, "seen");
  EXPECT_EQ(out[0].kind, "presence");
  EXPECT_EQ(out[0].zone, "right");
  EXPECT_EQ(out[0].rule_index, 0);
}

TEST(RuleSet, TooManyOfAnythingIsRefused) {
  std::string zones = "zones:\n";
  std::string rules = "rules:\n";
  for (int i = 0; i < 65; ++i) {
    zones += "  z" + std::to_string(i) + ": {points: [[0, 0], [1, 0], [1, 1]]}\n";
    rules += "  - {name: r" + std::to_string(i) + ", kind: presence}\n";
  }
  for (const std::string& yaml : {zones, rules}) {
    Status status;
    Parse(yaml, &status);
    EXPECT_NE(status.message().find("at most 64"), std::string::npos) << status.ToString();
  }
}

TEST(RuleSet, BoxesAndScoresThatAreNoNumbersAreNotSeen) {
  RuleSet rules = Parse(kFiveRules);
  std::vector<RuleFiring> out;
  Tracks tracks = {At(1, 70, 70), At(2, 70, 70), At(3, 70, 70)};
  tracks[0].box.x1 = std::numeric_limits<float>::quiet_NaN();
  tracks[1].box.y2 = std::numeric_limits<float>::infinity();
  tracks[2].score = std::numeric_limits<float>::quiet_NaN();
  for (int i = 0; i < 50; ++i) {
    rules.Evaluate({.time = i * kSecond, .width = 100, .height = 100, .tracks = tracks}, &out);
  }
  EXPECT_TRUE(out.empty());
}

TEST(RuleSet, ResetForgets) {
  RuleSet rules = Parse(kFiveRules);
  Tracks tracks;
  const auto run = [&] {
    std::vector<RuleFiring> out;
    for (int frame = 0; frame < 500; ++frame) {
      Walk(frame, &tracks);
      rules.Evaluate({.time = frame * kSecond / 25, .width = 100, .height = 100, .tracks = tracks},
                     &out);
    }
    std::string text;
    for (const RuleFiring& f : out) {
      text += std::string(f.rule) + ' ' + std::string(f.state) + ' ' + std::to_string(f.track) +
              ' ' + std::to_string(f.value) + '\n';
    }
    return text;
  };
  const std::string once = run();
  EXPECT_GT(once.size(), 1000U) << "all kinds fire a lot in this walk";
  EXPECT_NE(run(), once) << "the state goes on";
  rules.Reset();
  EXPECT_EQ(run(), once);
}

TEST(RuleSet, AllocatesNothingAfterWarmUp) {
  RuleSet rules = Parse(kFiveRules);
  Tracks tracks;
  tracks.reserve(10);
  std::vector<RuleFiring> out;
  out.reserve(64);
  std::set<std::string_view> fired;
  std::vector<std::int64_t> ended(1);
  const auto start = std::chrono::steady_clock::now();
  constexpr int kFrames = 20'000;
  std::uint64_t before = 0;
  for (int frame = 0; frame < kFrames; ++frame) {
    if (frame == 100) before = AllocationsOfThisThread();
    Walk(frame, &tracks);
    for (Track& track : tracks) track.id += frame / 50;  // tracks come and go
    ended[0] = frame / 50;
    out.clear();
    rules.Evaluate({.time = frame * kSecond / 25,
                    .width = 100 + frame / 1000,  // the picture changes its size
                    .height = 100,
                    .tracks = tracks,
                    .ended = ended},
                   &out);
    if (frame < 100) {
      for (const RuleFiring& firing : out) fired.insert(firing.kind);
    }
  }
  EXPECT_EQ(AllocationsOfThisThread() - before, 0U);
  EXPECT_EQ(fired.size(), 5U) << "every kind fires in this walk";
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
  std::cout << "10 tracks, 5 rules: " << took.count() / kFrames << " us per frame, walk included\n";
}

TEST(RuleSet, MemoryIsBoundedHoweverManyTracksCome) {
  RuleSet rules = Parse(kFiveRules);
  std::vector<RuleFiring> out;
  out.reserve(4096);
  Tracks tracks(2);
  std::uint64_t before = 0;
  std::int64_t entered = 0;
  std::int64_t left = 0;
  constexpr std::int64_t kTracks = 100'000;
  for (std::int64_t id = 1; id <= kTracks; ++id) {
    // Nobody ever says that they ended. Two sightings inside settle each.
    if (id == 4000) before = AllocationsOfThisThread();
    tracks[0] = At(id, 60, 80);
    tracks[1] = At(id - 1, 60, 80);
    out.clear();
    rules.Evaluate({.time = id * kMillisecond, .width = 100, .height = 100, .tracks = tracks},
                   &out);
    for (const RuleFiring& firing : out) {
      if (firing.kind != "zone") continue;
      (firing.state == "enter" ? entered : left) += 1;
    }
  }
  EXPECT_EQ(AllocationsOfThisThread() - before, 0U);
  EXPECT_GT(entered, kTracks - 10);
  EXPECT_LE(entered - left, 1024) << "who makes room leaves";
  EXPECT_GE(entered - left, 1000) << "but nobody leaves before room is needed";
}

TEST(RuleSet, WhoIsInTheFrameKeepsItsRoom) {
  RuleSet rules = Parse(R"(
zones: {right: {points: [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]}}
rules: [{name: in, kind: zone, zone: right, settle_frames: 1}])");
  std::vector<RuleFiring> out;
  Tracks tracks(2);
  int of_the_first = 0;
  for (std::int64_t id = 2; id <= 5000; ++id) {
    tracks[0] = At(1, 60, 80);
    tracks[0].matched = id % 10 == 0 || id == 2;  // predicted most of the time
    tracks[1] = At(id, 60, 80);
    out.clear();
    rules.Evaluate({.time = id, .width = 100, .height = 100, .tracks = tracks}, &out);
    for (const RuleFiring& firing : out) of_the_first += static_cast<int>(firing.track == 1);
  }
  EXPECT_EQ(of_the_first, 1) << "it entered, and never left to make room";
}

TEST(RuleSet, MoreTracksInAFrameThanThereIsRoomFor) {
  RuleSet rules = Parse(R"(rules: [{name: crowd, kind: count, compare: ">=", value: 1000}])");
  std::vector<RuleFiring> out;
  Tracks tracks;
  for (std::int64_t id = 1; id <= 1500; ++id) tracks.push_back(At(id, 50, 50));
  rules.Evaluate({.time = 0, .width = 100, .height = 100, .tracks = tracks}, &out);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].value, 1024);
  // Known ones first: the others find no room, and nobody is thrown out for them.
  std::swap(tracks[0], tracks[1400]);
  rules.Evaluate({.time = 1, .width = 100, .height = 100, .tracks = tracks}, &out);
  EXPECT_EQ(out.size(), 1U);
}

TEST(RuleSet, SameIdTwiceInAFrameIsOneTrack) {
  RuleSet rules = Parse(R"(rules: [{name: crowd, kind: count, compare: ">=", value: 1}])");
  std::vector<RuleFiring> out;
  const Tracks tracks = {At(1, 50, 50), At(1, 60, 50)};
  rules.Evaluate({.time = 0, .width = 100, .height = 100, .tracks = tracks}, &out);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].value, 1);
}

}  // namespace
}  // namespace selvedge
