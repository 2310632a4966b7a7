// length: one fixture and its scenes; splitting them would part what is read together

#include "vision/tracker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "base/allocation_counter.h"

namespace selvedge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr Nanos kFrame = 100 * kMillisecond;

// A person-sized box with its top left corner there.
Detection At(float x, float y, float score = 0.9F, std::int32_t class_id = 0) {
  return {.box = {x, y, x + 40, y + 100}, .score = score, .class_id = class_id};
}

std::vector<std::int64_t> Ids(const Tracks& tracks) {
  std::vector<std::int64_t> ids;
  for (const Track& track : tracks) ids.push_back(track.id);
  return ids;
}

std::vector<std::int64_t> Ended(const Tracker& tracker) {
  return {tracker.ended().begin(), tracker.ended().end()};
}

TEST(TrackerTest, IsConfirmedByTheSecondFrameAndKeepsItsId) {
  Tracker tracker(TrackerOptions{});
  Detections frame = {At(10, 10)};
  tracker.Update(0, frame);
  EXPECT_EQ(frame[0].track_id, -1);
  EXPECT_THAT(tracker.tracks(), IsEmpty());
  for (int i = 1; i < 20; ++i) {
    frame = {At(10 + 5 * static_cast<float>(i), 10)};
    tracker.Update(i * kFrame, frame);
    EXPECT_EQ(frame[0].track_id, 1) << "frame " << i;
  }
  ASSERT_THAT(tracker.tracks(), SizeIs(1));
  const Track& track = tracker.tracks()[0];
  EXPECT_EQ(track.hits, 20);
  EXPECT_EQ(track.first_seen, 0);
  EXPECT_EQ(track.last_seen, 19 * kFrame);
  EXPECT_TRUE(track.matched);
  EXPECT_NEAR(track.velocity_x, 50, 2);
  EXPECT_NEAR(track.velocity_y, 0, 2);
  EXPECT_NEAR(track.box.x1, 105, 2);
  EXPECT_FLOAT_EQ(track.score, 0.9F);
}

TEST(TrackerTest, OneHitIsEnoughWhereAsked) {
  Tracker tracker({.min_hits = 1});
  Detections frame = {At(10, 10)};
  tracker.Update(0, frame);
  EXPECT_EQ(frame[0].track_id, 1);
}

TEST(TrackerTest, AnUnconfirmedTrackDiesWithItsFirstMiss) {
  Tracker tracker({.min_hits = 3});
  Detections frame = {At(10, 10)};
  tracker.Update(0, frame);
  tracker.Update(kFrame, frame);
  tracker.Update(2 * kFrame, {});
  tracker.Update(3 * kFrame, frame);
  tracker.Update(4 * kFrame, frame);
  EXPECT_THAT(tracker.tracks(), IsEmpty());
  EXPECT_THAT(tracker.ended(), IsEmpty()) << "what was never confirmed does not end either";
}

TEST(TrackerTest, LostTracksArePredictedAndEndAfterMaxLost) {
  Tracker tracker({.max_lost = kSecond});
  Detections frame;
  for (int i = 0; i < 10; ++i) {
    frame = {At(10 + 10 * static_cast<float>(i), 10)};
    tracker.Update(i * kFrame, frame);
  }
  for (int i = 10; i <= 19; ++i) {
    tracker.Update(i * kFrame, {});
    ASSERT_THAT(Ids(tracker.tracks()), ElementsAre(1)) << "frame " << i;
    EXPECT_FALSE(tracker.tracks()[0].matched);
    EXPECT_NEAR(tracker.tracks()[0].box.x1, 10 + 10 * i, 8) << "frame " << i;
    EXPECT_EQ(tracker.tracks()[0].last_seen, 9 * kFrame);
    EXPECT_THAT(tracker.ended(), IsEmpty());
  }
  tracker.Update(20 * kFrame, {});
  EXPECT_THAT(tracker.tracks(), IsEmpty());
  EXPECT_THAT(Ended(tracker), ElementsAre(1));
  tracker.Update(21 * kFrame, {});
  EXPECT_THAT(tracker.ended(), IsEmpty());
}

TEST(TrackerTest, FoundAgainWhereItWasHeaded) {
  Tracker tracker(TrackerOptions{});
  Detections frame;
  for (int i = 0; i < 30; ++i) {
    frame.clear();
    if (i < 12 || i >= 19) frame.push_back(At(10 + 9 * static_cast<float>(i), 10));
    tracker.Update(i * kFrame, frame);
  }
  EXPECT_EQ(frame[0].track_id, 1);
}

TEST(TrackerTest, ALostTrackKeepsItsSize) {
  Tracker tracker(TrackerOptions{});
  for (int i = 0; i < 10; ++i) {
    const auto less = 4 * static_cast<float>(i);
    Detections frame = {{.box = {10, 10, 110 - less, 210 - 2 * less}, .score = 0.9F}};
    tracker.Update(i * kFrame, frame);
  }
  tracker.Update(10 * kFrame, {});
  const float height = tracker.tracks()[0].box.height();
  tracker.Update(15 * kFrame, {});
  // One frame of the trend was still predicted; five more would take 40 pixels away.
  EXPECT_NEAR(tracker.tracks()[0].box.height(), height, 0.1);
}

TEST(TrackerTest, IdsAreNeverUsedAgain) {
  Tracker tracker({.max_lost = 150 * kMillisecond, .min_hits = 1});
  std::set<std::int64_t> seen;
  for (int i = 0; i < 50; ++i) {
    Detections frame = {At(10, 10)};
    tracker.Update(i * kSecond, frame);
    EXPECT_TRUE(seen.insert(frame[0].track_id).second);
  }
  EXPECT_EQ(*seen.rbegin(), 50);
}

TEST(TrackerTest, UnsureDetectionsKeepATrackButStartNone) {
  Tracker tracker(TrackerOptions{});
  Detections frame;
  for (int i = 0; i < 20; ++i) {
    const bool unsure = i >= 5;
    frame = {At(10 + 3 * static_cast<float>(i), 10, unsure ? 0.2F : 0.9F), At(400, 10, 0.3F)};
    tracker.Update(i * kFrame, frame);
  }
  EXPECT_EQ(frame[0].track_id, 1);
  EXPECT_EQ(frame[1].track_id, -1);
  EXPECT_TRUE(tracker.tracks()[0].matched);
  EXPECT_FLOAT_EQ(tracker.tracks()[0].score, 0.2F);
}

TEST(TrackerTest, StartingATrackMayAskForMore) {
  Tracker tracker({.new_track_score = 0.8F});
  Detections frame = {At(10, 10, 0.7F), At(200, 10, 0.85F)};
  for (int i = 0; i < 3; ++i) tracker.Update(i * kFrame, frame);
  EXPECT_EQ(frame[0].track_id, -1);
  EXPECT_EQ(frame[1].track_id, 1);
  frame = {At(200, 10, 0.7F)};
  tracker.Update(3 * kFrame, frame);
  EXPECT_EQ(frame[0].track_id, 1) << "going on takes less";
}

TEST(TrackerTest, ALostTrackIsNotRevivedByAnUnsureDetection) {
  Tracker tracker(TrackerOptions{});
  Detections frame = {At(10, 10)};
  for (int i = 0; i < 3; ++i) tracker.Update(i * kFrame, frame);
  tracker.Update(3 * kFrame, {});
  frame = {At(10, 10, 0.3F)};
  tracker.Update(4 * kFrame, frame);
  EXPECT_EQ(frame[0].track_id, -1);
  EXPECT_FALSE(tracker.tracks()[0].matched);
}

TEST(TrackerTest, ScoresBelowLowAreIgnored) {
  Tracker tracker(TrackerOptions{});
  Detections frame = {At(10, 10)};
  for (int i = 0; i < 3; ++i) tracker.Update(i * kFrame, frame);
  frame = {At(10, 10, 0.05F)};
  tracker.Update(3 * kFrame, frame);
  EXPECT_EQ(frame[0].track_id, -1);
}

TEST(TrackerTest, NeverAcrossClasses) {
  Tracker tracker(TrackerOptions{});
  Detections frame;
  for (int i = 0; i < 4; ++i) {
    frame = {At(10, 10, 0.9F, 0), At(10, 10, 0.8F, 1)};
    tracker.Update(i * kFrame, frame);
  }
  EXPECT_EQ(frame[0].track_id, 1);
  EXPECT_EQ(frame[1].track_id, 2);
  frame = {At(10, 10, 0.9F, 1), At(10, 10, 0.8F, 0)};
  tracker.Update(4 * kFrame, frame);
  EXPECT_EQ(frame[0].track_id, 2);
  EXPECT_EQ(frame[1].track_id, 1);
}

TEST(TrackerTest, TwoThatPassEachOtherKeepTheirIds) {
  Tracker tracker(TrackerOptions{});
  Detections frame;
  for (int i = 0; i < 41; ++i) {
    const auto step = static_cast<float>(i);
    frame = {At(10 + 10 * step, 100), At(410 - 10 * step, 120, 0.8F)};
    tracker.Update(i * kFrame, frame);
    if (i == 0) continue;
    EXPECT_EQ(frame[0].track_id, 1) << "frame " << i;
    EXPECT_EQ(frame[1].track_id, 2) << "frame " << i;
  }
}

// Ten walkers on lanes of their own; `keep` says which frames reach the tracker.
template <typename Keep>
std::map<int, std::set<std::int64_t>> IdsOfWalkers(Nanos interval, int frames, Keep keep) {
  Tracker tracker(TrackerOptions{});
  std::map<int, std::set<std::int64_t>> ids;
  for (int i = 0; i < frames; ++i) {
    if (!keep(i)) continue;
    Detections frame;
    for (int w = 0; w < 10; ++w) {
      const double speed = 20.0 + 8 * w;  // pixels per second
      const auto x = static_cast<float>(speed * ToSeconds(i * interval));
      frame.push_back(At(x, 150 * static_cast<float>(w)));
    }
    tracker.Update(i * interval, frame);
    for (int w = 0; w < 10; ++w) {
      if (frame[static_cast<std::size_t>(w)].track_id > 0) {
        ids[w].insert(frame[static_cast<std::size_t>(w)].track_id);
      }
    }
  }
  return ids;
}

void ExpectOneIdEach(const std::map<int, std::set<std::int64_t>>& ids) {
  ASSERT_THAT(ids, SizeIs(10));
  for (const auto& [walker, seen] : ids) EXPECT_THAT(seen, SizeIs(1)) << "walker " << walker;
}

TEST(TrackerTest, FrameRateDoesNotMatter) {
  const auto all = [](int) { return true; };
  for (const Nanos interval : {10 * kMillisecond, 33 * kMillisecond, 100 * kMillisecond,
                               200 * kMillisecond, 400 * kMillisecond}) {
    SCOPED_TRACE(interval / kMillisecond);
    ExpectOneIdEach(IdsOfWalkers(interval, 50, all));
  }
}

TEST(TrackerTest, DroppedFramesDoNotMatter) {
  std::mt19937 random(5);
  ExpectOneIdEach(IdsOfWalkers(33 * kMillisecond, 400, [&](int) { return random() % 3 == 0; }));
  // A gap of 0.9 s in the middle.
  ExpectOneIdEach(IdsOfWalkers(100 * kMillisecond, 60, [](int i) { return i < 20 || i >= 28; }));
}

TEST(TrackerTest, AGapLongerThanMaxLostEndsEveryTrack) {
  Tracker tracker(TrackerOptions{});
  Detections frame = {At(10, 10), At(200, 10)};
  tracker.Update(0, frame);
  tracker.Update(kFrame, frame);
  tracker.Update(kFrame + 600 * kSecond, frame);
  EXPECT_THAT(Ended(tracker), ElementsAre(1, 2));
  EXPECT_EQ(frame[0].track_id, -1);
  tracker.Update(2 * kFrame + 600 * kSecond, frame);
  EXPECT_EQ(frame[0].track_id, 3);
}

TEST(TrackerTest, TimeAFewSteppedBackIsTheSameTime) {
  Tracker tracker(TrackerOptions{});
  Detections frame = {At(10, 10)};
  for (const Nanos t : {Nanos{0}, kFrame, 2 * kFrame, kFrame, kFrame, 3 * kFrame}) {
    tracker.Update(t, frame);
  }
  EXPECT_EQ(frame[0].track_id, 1);
  EXPECT_EQ(tracker.tracks()[0].last_seen, 3 * kFrame);
}

TEST(TrackerTest, TimeFarBackStartsAnew) {
  Tracker tracker(TrackerOptions{});
  Detections frame = {At(10, 10)};
  tracker.Update(1000 * kSecond, frame);
  tracker.Update(1000 * kSecond + kFrame, frame);
  tracker.Update(0, frame);
  EXPECT_THAT(Ended(tracker), ElementsAre(1));
  tracker.Update(kFrame, frame);
  EXPECT_EQ(frame[0].track_id, 2);
  tracker.Update(std::numeric_limits<Nanos>::max(), frame);
  tracker.Update(std::numeric_limits<Nanos>::min(), frame);
  tracker.Update(std::numeric_limits<Nanos>::max(), frame);
  EXPECT_THAT(tracker.tracks(), IsEmpty());
}

TEST(TrackerTest, BoxesThatAreNoneAreLeftAlone) {
  const float nan = std::nanf("");
  const float inf = std::numeric_limits<float>::infinity();
  Tracker tracker(TrackerOptions{});
  Detections frame;
  for (int i = 0; i < 5; ++i) {
    frame = {At(10, 10)};
    frame.push_back({.box = {nan, 0, 10, 10}, .score = 0.9F});
    frame.push_back({.box = {0, 0, inf, 10}, .score = 0.9F});
    frame.push_back({.box = {0, -inf, 10, 10}, .score = 0.9F});
    frame.push_back({.box = {50, 50, 50, 90}, .score = 0.9F});
    frame.push_back({.box = {90, 50, 50, 90}, .score = 0.9F});
    frame.push_back({.box = {0, 0, 1e30F, 10}, .score = 0.9F});
    frame.push_back({.box = {0, 0, 10, 10}, .score = nan});
    frame.push_back({.box = {0, 0, 10, 10}, .score = -inf});
    for (Detection& detection : frame) detection.track_id = 77;
    tracker.Update(i * kFrame, frame);
    for (std::size_t d = 1; d < frame.size(); ++d) EXPECT_EQ(frame[d].track_id, -1) << d;
  }
  EXPECT_EQ(frame[0].track_id, 1);
  EXPECT_THAT(tracker.tracks(), SizeIs(1));
}

TEST(TrackerTest, WildButLegalInputStaysFinite) {
  std::mt19937 random(99);
  std::uniform_real_distribution<float> anywhere(-Tracker::kMaxCoordinate, Tracker::kMaxCoordinate);
  Tracker tracker({.high_score = 0,
                   .low_score = 0,
                   .new_track_score = 0,
                   .match_iou = 0,
                   .match_buffer = 2,
                   .low_match_iou = 0,
                   .max_lost = 3600 * kSecond});
  Nanos now = 0;
  for (int i = 0; i < 300; ++i) {
    Detections frame;
    for (int d = 0; d < 20; ++d) {
      const float x = anywhere(random);
      const float y = anywhere(random);
      const bool tiny = random() % 2 == 0;
      frame.push_back({.box = {x, y, tiny ? std::nextafter(x, 1e9F) : anywhere(random),
                               tiny ? std::nextafter(y, 1e9F) : anywhere(random)},
                       .score = tiny ? std::numeric_limits<float>::infinity() : 0.5F});
    }
    now += static_cast<Nanos>(random() % 100) * kSecond;
    tracker.Update(now, frame);
    for (const Track& track : tracker.tracks()) {
      for (const float v : {track.box.x1, track.box.y1, track.box.x2, track.box.y2,
                            track.velocity_x, track.velocity_y}) {
        ASSERT_TRUE(std::isfinite(v)) << "frame " << i;
      }
    }
  }
}

TEST(TrackerTest, TheNumberOfTracksIsBounded) {
  Tracker tracker({.max_tracks = 16});
  Detections frame;
  for (int d = 0; d < 100; ++d) {
    frame.push_back(At(60 * static_cast<float>(d), 0, 0.6F + 0.003F * static_cast<float>(d)));
  }
  for (int i = 0; i < 5; ++i) tracker.Update(i * kFrame, frame);
  EXPECT_THAT(tracker.tracks(), SizeIs(16));
  // The best-scored ones.
  for (int d = 0; d < 100; ++d) {
    EXPECT_EQ(frame[static_cast<std::size_t>(d)].track_id > 0, d >= 84) << d;
  }
}

// A scene with entries, exits, misses, clutter and unsure detections, seeded.
std::vector<Detections> RandomScene(unsigned seed, int frames) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> jitter(-2, 2);
  std::uniform_real_distribution<float> score(0.05F, 1);
  std::vector<Detections> scene;
  for (int i = 0; i < frames; ++i) {
    Detections& frame = scene.emplace_back();
    for (int w = 0; w < 12; ++w) {
      const float x = 40.0F * static_cast<float>(w) + static_cast<float>((w % 5 - 2) * i) * 1.5F;
      const float y = 30.0F * static_cast<float>(w % 4) + static_cast<float>((w % 3 - 1) * i);
      if (i < 5 * w || i > 60 + 7 * w || random() % 5 == 0) continue;
      frame.push_back(At(x + jitter(random), y + jitter(random), score(random), w % 2));
    }
    if (random() % 3 == 0)
      frame.push_back(At(300 * score(random), 300 * score(random), score(random)));
  }
  return scene;
}

TEST(TrackerTest, TheOrderOfDetectionsDoesNotMatter) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::vector<Detections> scene = RandomScene(seed, 120);
    Tracker plain(TrackerOptions{});
    Tracker shuffled(TrackerOptions{});
    std::mt19937 random(seed);
    for (std::size_t i = 0; i < scene.size(); ++i) {
      Detections one = scene[i];
      std::vector<std::size_t> order(one.size());
      for (std::size_t d = 0; d < order.size(); ++d) order[d] = d;
      std::ranges::shuffle(order, random);
      Detections other;
      for (const std::size_t d : order) other.push_back(scene[i][d]);
      plain.Update(static_cast<Nanos>(i) * kFrame, one);
      shuffled.Update(static_cast<Nanos>(i) * kFrame, other);
      for (std::size_t d = 0; d < order.size(); ++d) {
        ASSERT_EQ(other[d].track_id, one[order[d]].track_id) << "frame " << i;
      }
      ASSERT_EQ(Ids(plain.tracks()), Ids(shuffled.tracks())) << "frame " << i;
    }
  }
}

TEST(TrackerTest, WhatItSaysFitsTogether) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Tracker tracker(TrackerOptions{});
    std::set<std::int64_t> live;
    std::set<std::int64_t> gone;
    Nanos now = 0;
    for (Detections& frame : RandomScene(seed, 150)) {
      tracker.Update(now += kFrame, frame);
      for (const std::int64_t id : tracker.ended()) {
        ASSERT_EQ(live.erase(id), 1U) << "track " << id << " ended that did not live";
        ASSERT_TRUE(gone.insert(id).second);
      }
      const std::vector<std::int64_t> ids = Ids(tracker.tracks());
      ASSERT_TRUE(std::ranges::is_sorted(ids));
      for (const std::int64_t id : live) ASSERT_TRUE(std::ranges::count(ids, id)) << "vanished";
      for (const Track& track : tracker.tracks()) {
        ASSERT_FALSE(gone.contains(track.id));
        live.insert(track.id);
        const auto mine = std::ranges::count_if(
            frame, [&](const Detection& d) { return d.track_id == track.id; });
        ASSERT_EQ(mine, track.matched ? 1 : 0) << "track " << track.id;
        ASSERT_LE(now - track.last_seen, kSecond);
        ASSERT_EQ(track.matched, track.last_seen == now);
      }
      for (const Detection& detection : frame) {
        if (detection.track_id == -1) continue;
        ASSERT_TRUE(live.contains(detection.track_id));
        ASSERT_GE(detection.score, 0.1F);
      }
    }
    EXPECT_GT(gone.size(), 5U) << "the scene was meant to have exits";
  }
}

TEST(TrackerTest, AllocatesNothingPerFrame) {
#ifdef SELVEDGE_SANITIZED
  GTEST_SKIP() << "sanitizers replace operator new";
#endif
  std::vector<Detections> scene = RandomScene(3, 200);
  Tracker tracker(TrackerOptions{});
  const std::uint64_t before = AllocationsOfThisThread();
  Nanos now = 0;
  for (Detections& frame : scene) tracker.Update(now += kFrame, frame);
  EXPECT_EQ(AllocationsOfThisThread() - before, 0U);
}

TEST(TrackerTest, ManyObjectsKeepTheirIds) {
  constexpr int kSide = 20;
  Tracker tracker(TrackerOptions{});
  Detections frame;
  std::vector<std::int64_t> first;
  for (int i = 0; i < 20; ++i) {
    frame.clear();
    for (int n = 0; n < kSide * kSide; ++n) {
      const auto col = static_cast<float>(n % kSide);
      const auto row = static_cast<float>(n) / kSide;
      frame.push_back(At(60 * col + 3 * static_cast<float>(i), 120 * std::floor(row),
                         0.6F + 0.0005F * static_cast<float>(n)));
    }
    tracker.Update(i * kFrame, frame);
    std::vector<std::int64_t> ids;
    for (const Detection& detection : frame) ids.push_back(detection.track_id);
    if (i == 1) first = ids;
    if (i > 1) {
      ASSERT_EQ(ids, first) << "frame " << i;
    }
  }
}

TEST(TrackerOptionsTest, SaysWhatIsWrong) {
  const auto message = [](const TrackerOptions& options) { return options.Validate().message(); };
  EXPECT_TRUE(TrackerOptions{}.Validate().ok());
  EXPECT_THAT(message({.high_score = 1.5F}), HasSubstr("high_score must be 0 to 1"));
  EXPECT_THAT(message({.match_iou = std::nanf("")}), HasSubstr("match_iou must be 0 to 1"));
  EXPECT_THAT(message({.low_score = 0.7F}), HasSubstr("low_score must not exceed high_score"));
  EXPECT_EQ(message({.high_score = 0.6F}), "") << "one key alone must do";
  EXPECT_THAT(message({.new_track_score = -1}), HasSubstr("new_track_score must be 0 to 1"));
  EXPECT_THAT(message({.match_buffer = -1}), HasSubstr("match_buffer"));
  EXPECT_THAT(message({.max_lost = 0}), HasSubstr("max_lost"));
  EXPECT_THAT(message({.min_hits = 0}), HasSubstr("min_hits"));
  EXPECT_THAT(message({.max_tracks = 0}), HasSubstr("max_tracks"));
}

TEST(TrackerOptionsTest, WrongOnesAreClamped) {
  const float nan = std::nanf("");
  Tracker tracker({.high_score = nan,
                   .low_score = 9,
                   .new_track_score = -1,
                   .match_iou = nan,
                   .match_buffer = nan,
                   .low_match_iou = -9,
                   .max_lost = -1,
                   .min_hits = -1,
                   .max_tracks = -1});
  Detections frame = {At(10, 10), At(200, 10, 0.8F)};
  tracker.Update(0, frame);
  EXPECT_EQ(frame[0].track_id, 1);
  EXPECT_EQ(frame[1].track_id, -1) << "room for one";
}

}  // namespace
}  // namespace selvedge
