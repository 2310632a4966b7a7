#include "vision/accuracy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace selvedge {
namespace {

using testing::HasSubstr;

Box At(float x) {
  return {x, 0, x + 10, 10};
}
TruthBox Label(float x, std::int64_t id = 1) {
  return {.box = At(x), .id = id};
}
TruthBox Ignored(float x, std::int64_t id = 9) {
  return {.box = At(x), .id = id, .ignored = true};
}
Detection Found(float x, float score, std::int64_t track = -1) {
  return {.box = At(x), .score = score, .track_id = track};
}

using Frames = std::vector<EvaluatedFrame>;

TEST(AveragePrecisionTest, NothingFoundOrNothingThereIsZero) {
  EXPECT_EQ(AveragePrecision({}, 0.5F), 0);
  EXPECT_EQ(AveragePrecision(Frames{{{Label(0)}, {}}}, 0.5F), 0);
  EXPECT_EQ(AveragePrecision(Frames{{{}, {Found(0, 0.9F)}}}, 0.5F), 0);
  EXPECT_EQ(AveragePrecision(Frames{{{Ignored(0)}, {Found(0, 0.9F)}}}, 0.5F), 0);
}

TEST(AveragePrecisionTest, PerfectIsOne) {
  const Frames frames = {{{Label(0), Label(50, 2)}, {Found(50, 0.3F), Found(0, 0.2F)}}};
  EXPECT_DOUBLE_EQ(AveragePrecision(frames, 0.5F), 1);
  EXPECT_DOUBLE_EQ(MeanAveragePrecision(frames), 1);
}

TEST(AveragePrecisionTest, AllPointInterpolationByHand) {
  // By score: right (1/1), wrong (1/2), right (2/3), wrong, right (3/5); one label of four is
  // missed.
  const Frames frames = {
      {{Label(0), Label(50, 2)}, {Found(0, 0.9F), Found(200, 0.8F), Found(50, 0.7F)}},
      {{Label(0), Label(50, 2)}, {Found(300, 0.6F), Found(0, 0.5F)}},
  };
  EXPECT_NEAR(AveragePrecision(frames, 0.5F), (1 + 2.0 / 3 + 3.0 / 5) / 4, 1e-12);
}

TEST(AveragePrecisionTest, PrecisionIsTheBestFromThereOn) {
  // wrong, right (1/2), right (2/3): both steps of recall count 2/3.
  const Frames frames = {
      {{Label(0), Label(50, 2)}, {Found(200, 0.9F), Found(0, 0.8F), Found(50, 0.7F)}}};
  EXPECT_NEAR(AveragePrecision(frames, 0.5F), 2.0 / 3, 1e-12);
}

TEST(AveragePrecisionTest, TheSecondBoxOnAnObjectIsWrong) {
  const Frames frames = {
      {{Label(0), Label(50, 2)}, {Found(0, 0.9F), Found(1, 0.8F), Found(50, 0.7F)}}};
  EXPECT_NEAR(AveragePrecision(frames, 0.5F), (1 + 2.0 / 3) / 2, 1e-12);
}

TEST(AveragePrecisionTest, ClaimsTheBestOverlapNotTheFirst) {
  // Overlaps: 8 of 12 with the first label, 9 of 11 with the second; the next takes the first.
  const Frames frames = {{{Label(0), Label(3, 2)}, {Found(2, 0.9F), Found(0, 0.8F)}}};
  EXPECT_DOUBLE_EQ(AveragePrecision(frames, 0.5F), 1);
}

TEST(AveragePrecisionTest, IouIsInclusiveAndPerThreshold) {
  // Half the width: IoU 5 / 10.
  const Frames frames = {
      {{Label(0)}, {{.box = {0, 0, 5, 10}, .score = 0.9F}}},
  };
  EXPECT_EQ(AveragePrecision(frames, 0.5F), 1);
  EXPECT_EQ(AveragePrecision(frames, 0.51F), 0);
  EXPECT_DOUBLE_EQ(MeanAveragePrecision(frames), 0.1);
}

TEST(AveragePrecisionTest, IgnoredLabelsExcuseOneBoxEach) {
  const Frames frames = {
      {{Ignored(50), Label(0)}, {Found(50, 0.9F), Found(51, 0.8F), Found(0, 0.7F)}}};
  EXPECT_NEAR(AveragePrecision(frames, 0.5F), 0.5, 1e-12);
}

TEST(AveragePrecisionTest, ARealLabelGoesBeforeAnIgnoredOne) {
  // The ignored label overlaps better, and is still the second choice.
  const Frames frames = {{{Ignored(1), Label(0)}, {Found(1, 0.9F)}}};
  EXPECT_EQ(AveragePrecision(frames, 0.5F), 1);
}

TEST(AveragePrecisionTest, TheOrderWithinAFrameDoesNotMatter) {
  std::mt19937 random(4);
  std::uniform_real_distribution<float> place(0, 100);
  for (int round = 0; round < 50; ++round) {
    Frames frames(5);
    for (EvaluatedFrame& frame : frames) {
      for (int i = 0; i < 6; ++i) frame.truth.push_back(Label(place(random), i));
      for (int i = 0; i < 8; ++i) frame.found.push_back(Found(place(random), place(random) / 100));
    }
    const double before = AveragePrecision(frames, 0.5F);
    for (EvaluatedFrame& frame : frames) {
      std::ranges::shuffle(frame.truth, random);
      std::ranges::shuffle(frame.found, random);
    }
    ASSERT_DOUBLE_EQ(AveragePrecision(frames, 0.5F), before);
  }
}

TEST(AveragePrecisionTest, AScoreThatIsNoNumberIsNoDetection) {
  const Frames frames = {{{Label(0)}, {Found(50, std::nanf("")), Found(0, 0.1F)}}};
  EXPECT_EQ(AveragePrecision(frames, 0.5F), 1);
}

TEST(MeasureDetectionTest, CountsAtAScore) {
  const Frames frames = {
      {{Label(0), Label(50, 2), Ignored(90)},
       {Found(0, 0.9F), Found(200, 0.8F), Found(50, 0.3F), Found(90, 0.9F)}},
      {{Label(0)}, {}},
  };
  const DetectionAccuracy strict = MeasureDetection(frames, 0.5F, 0.5F);
  EXPECT_EQ(strict.true_positives, 1);
  EXPECT_EQ(strict.false_positives, 1);
  EXPECT_EQ(strict.misses, 2);
  EXPECT_DOUBLE_EQ(strict.precision(), 0.5);
  EXPECT_DOUBLE_EQ(strict.recall(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(strict.f1(), 0.4);
  const DetectionAccuracy loose = MeasureDetection(frames, 0.5F, 0.3F);
  EXPECT_EQ(loose.true_positives, 2);
  const DetectionAccuracy none = MeasureDetection({}, 0.5F, 0.3F);
  EXPECT_EQ(none.precision() + none.recall() + none.f1(), 0);
}

TrackingAccuracy Measure(const Frames& frames) {
  Result<TrackingAccuracy> result = MeasureTracking(frames, 0.5F);
  EXPECT_TRUE(result.has_value()) << result.error().message();
  return result.value_or(TrackingAccuracy{});
}

TEST(MeasureTrackingTest, PerfectIsOne) {
  const Frames frames(5, {{Label(0, 1), Label(50, 2)}, {Found(50, 0.9F, 7), Found(0, 0.9F, 3)}});
  const TrackingAccuracy accuracy = Measure(frames);
  EXPECT_DOUBLE_EQ(accuracy.mota(), 1);
  EXPECT_DOUBLE_EQ(accuracy.motp(), 1);
  EXPECT_DOUBLE_EQ(accuracy.idf1(), 1);
  EXPECT_EQ(accuracy.matches, 10);
}

TEST(MeasureTrackingTest, NothingTracked) {
  const Frames frames = {{{Label(0)}, {Found(0, 0.9F)}}};
  const TrackingAccuracy accuracy = Measure(frames);
  EXPECT_EQ(accuracy.misses, 1);
  EXPECT_EQ(accuracy.false_positives, 0) << "what has no track is no result of the tracker";
  EXPECT_EQ(accuracy.mota(), 0);
  EXPECT_EQ(accuracy.idf1(), 0);
  EXPECT_EQ(Measure({}).mota(), 0);
}

TEST(MeasureTrackingTest, ASwitchByHand) {
  // One object over four frames: track 1 twice, missed, then track 2; and a false alarm of track 3.
  const Frames frames = {
      {{Label(0)}, {Found(0, 0.9F, 1)}},
      {{Label(0)}, {Found(0, 0.9F, 1), Found(80, 0.9F, 3)}},
      {{Label(0)}, {}},
      {{Label(0)}, {Found(0, 0.9F, 2)}},
  };
  const TrackingAccuracy accuracy = Measure(frames);
  EXPECT_EQ(accuracy.id_switches, 1) << "also across the miss";
  EXPECT_EQ(accuracy.misses, 1);
  EXPECT_EQ(accuracy.false_positives, 1);
  EXPECT_DOUBLE_EQ(accuracy.mota(), 1 - 3.0 / 4);
  EXPECT_EQ(accuracy.identity_matches, 2);
  EXPECT_DOUBLE_EQ(accuracy.idf1(), 2 * 2.0 / (4 + 4));
}

TEST(MeasureTrackingTest, OnlyTheChangeIsASwitch) {
  Frames frames(2, {{Label(0)}, {Found(0, 0.9F, 1)}});
  frames.resize(5, {{Label(0)}, {Found(0, 0.9F, 2)}});
  EXPECT_EQ(Measure(frames).id_switches, 1);
  frames.resize(7, {{Label(0)}, {Found(0, 0.9F, 1)}});
  EXPECT_EQ(Measure(frames).id_switches, 2) << "back to the first track";
}

TEST(MeasureTrackingTest, APairingHoldsThoughAnotherBoxIsNearer) {
  // In frame 2, track 2 sits exactly on the object, but track 1 still overlaps enough.
  const Frames frames = {
      {{Label(0)}, {Found(0, 0.9F, 1)}},
      {{Label(0)}, {Found(2, 0.9F, 1), Found(0, 0.9F, 2)}},
  };
  const TrackingAccuracy accuracy = Measure(frames);
  EXPECT_EQ(accuracy.id_switches, 0);
  EXPECT_EQ(accuracy.false_positives, 1);
  EXPECT_NEAR(accuracy.overlap_sum, 1 + 8.0 / 12, 1e-6);
}

TEST(MeasureTrackingTest, AsManyMatchesAsPossibleComeFirst) {
  // Track 1 alone on object 1 would overlap fully, but then track 2 reaches nothing.
  const Frames frames = {{{Label(0, 1), Label(3, 2)}, {Found(0, 0.9F, 1), Found(-3, 0.9F, 2)}}};
  EXPECT_EQ(Measure(frames).matches, 2);
}

TEST(MeasureTrackingTest, IdentitiesArePairedOneToOne) {
  // Track 1 follows object 1 for two frames, then object 2 for three; track 2 takes over object 1
  // once.
  Frames frames(2, {{Label(0, 1), Label(50, 2)}, {Found(0, 0.9F, 1)}});
  frames.resize(5, {{Label(0, 1), Label(50, 2)}, {Found(50, 0.9F, 1)}});
  frames.push_back({{Label(0, 1), Label(50, 2)}, {Found(0, 0.9F, 2)}});
  const TrackingAccuracy accuracy = Measure(frames);
  EXPECT_EQ(accuracy.identity_matches, 3 + 1);
  EXPECT_DOUBLE_EQ(accuracy.idf1(), 2 * 4.0 / (12 + 6));
}

TEST(MeasureTrackingTest, IgnoredLabelsAreNeitherMissedNorFalse) {
  const Frames frames = {
      {{Label(0, 1), Ignored(50, 2), Ignored(90, 3)}, {Found(0, 0.9F, 1), Found(51, 0.9F, 2)}}};
  const TrackingAccuracy accuracy = Measure(frames);
  EXPECT_DOUBLE_EQ(accuracy.mota(), 1);
  EXPECT_DOUBLE_EQ(accuracy.idf1(), 1);
  EXPECT_EQ(accuracy.tracked_boxes, 1);
}

TEST(MeasureTrackingTest, RefusesAnIdTwiceInAFrame) {
  Result<TrackingAccuracy> result =
      MeasureTracking(Frames{{{Label(0, 4), Label(50, 4)}, {}}}, 0.5F);
  ASSERT_FALSE(result.has_value());
  EXPECT_THAT(result.error().message(), HasSubstr("object 4 is labelled twice"));
  result = MeasureTracking(Frames{{{}, {Found(0, 0.9F, 6), Found(50, 0.9F, 6)}}}, 0.5F);
  ASSERT_FALSE(result.has_value());
  EXPECT_THAT(result.error().message(), HasSubstr("track 6 has two boxes"));
}

TEST(MeasureTrackingTest, RefusesMoreIdentitiesThanItCanPair) {
  Frames frames;
  for (int i = 0; i < 4500; ++i) frames.push_back({{Label(0, i)}, {Found(0, 0.9F, i + 1)}});
  const Result<TrackingAccuracy> result = MeasureTracking(frames, 0.5F);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code(), StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace selvedge
