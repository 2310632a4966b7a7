#include "device/capture/pacer.h"

#include <gtest/gtest.h>

namespace selvedge {
namespace {

constexpr Nanos kStep = 100 * kMillisecond;

TEST(MediaTimeline, FollowsTheTimestampsWhateverTheirOrigin) {
  MediaTimeline timeline;
  EXPECT_EQ(timeline.At(7 * kSecond, kStep), 0);
  EXPECT_EQ(timeline.At(7 * kSecond + kStep, kStep), kStep);
  EXPECT_EQ(timeline.At(7 * kSecond + 5 * kStep, kStep), 5 * kStep);
}

TEST(MediaTimeline, MissingAndBackwardTimestampsGoOneStepOn) {
  MediaTimeline timeline;
  timeline.At(10 * kSecond, kStep);
  EXPECT_EQ(timeline.At(std::nullopt, kStep), kStep);
  EXPECT_EQ(timeline.At(3 * kSecond, kStep), 2 * kStep);
  EXPECT_EQ(timeline.At(3 * kSecond + kStep, kStep), 3 * kStep);
  EXPECT_EQ(timeline.At(1 * kSecond, kStep), 4 * kStep);
  EXPECT_EQ(timeline.At(1 * kSecond + MediaTimeline::kMaxGap + 1, kStep), 5 * kStep);
}

TEST(MediaTimeline, RewindGoesOnWithoutAGap) {
  MediaTimeline timeline;
  timeline.At(0, kStep);
  timeline.At(kStep, kStep);
  timeline.Rewind();
  EXPECT_EQ(timeline.At(0, kStep), 2 * kStep);
  EXPECT_EQ(timeline.At(kStep, kStep), 3 * kStep);
}

TEST(MediaTimeline, UnknownRateUsesTheDefaultStep) {
  MediaTimeline timeline;
  timeline.At(std::nullopt, 0);
  EXPECT_EQ(timeline.At(std::nullopt, 0), MediaTimeline::kDefaultStep);
}

TEST(Pacer, TheFirstFrameIsDueAtOnceTheRestAsTheTimelineSays) {
  Pacer pacer(1);
  EXPECT_EQ(pacer.Due(0, 1000), 1000);
  EXPECT_EQ(pacer.Due(kStep, 1500), 1000 + kStep);
  EXPECT_EQ(pacer.Due(5 * kStep, 2000), 1000 + 5 * kStep);
}

TEST(Pacer, LatenessDoesNotShiftTheSchedule) {
  Pacer pacer(1);
  pacer.Due(0, 0);
  EXPECT_EQ(pacer.Due(kStep, kStep + 300 * kMillisecond), kStep);
  EXPECT_EQ(pacer.Due(2 * kStep, 2 * kStep), 2 * kStep);
  EXPECT_EQ(pacer.Slips(), 0u);
}

TEST(Pacer, FarBehindStartsANewSchedule) {
  Pacer pacer(1);
  pacer.Due(0, 0);
  const Nanos late = kStep + Pacer::kMaxLag + 1;
  EXPECT_EQ(pacer.Due(kStep, late), late);
  EXPECT_EQ(pacer.Due(2 * kStep, late), late + kStep);
  EXPECT_EQ(pacer.Slips(), 1u);
}

TEST(Pacer, SpeedDividesDistances) {
  Pacer pacer(2);
  pacer.Due(0, 0);
  EXPECT_EQ(pacer.Due(kStep, 0), kStep / 2);
  EXPECT_EQ(pacer.Due(2 * kStep, 0), kStep);
}

int KeptOf(double input_fps, double limit, int frames) {
  RateLimit rate(limit);
  int kept = 0;
  for (int i = 0; i < frames; ++i)
    kept += rate.Keep(static_cast<Nanos>(i * 1e9 / input_fps)) ? 1 : 0;
  return kept;
}

TEST(RateLimit, KeepsAtMostTheAskedRate) {
  EXPECT_EQ(KeptOf(30, 10, 300), 100);
  EXPECT_EQ(KeptOf(30, 0, 300), 300);
  EXPECT_EQ(KeptOf(10, 10, 300), 300);
  EXPECT_EQ(KeptOf(10, 30, 300), 300);
  EXPECT_NEAR(KeptOf(30, 20, 300), 200, 2);
  EXPECT_NEAR(KeptOf(25, 10, 250), 100, 2);
}

TEST(RateLimit, ToleratesJitterAndPauses) {
  RateLimit rate(10);
  EXPECT_TRUE(rate.Keep(0));
  EXPECT_TRUE(rate.Keep(95 * kMillisecond));
  EXPECT_FALSE(rate.Keep(150 * kMillisecond));
  EXPECT_TRUE(rate.Keep(5 * kSecond));
  EXPECT_FALSE(rate.Keep(5 * kSecond + 50 * kMillisecond));
  EXPECT_TRUE(rate.Keep(5 * kSecond + 100 * kMillisecond));
}

}  // namespace
}  // namespace selvedge
