#include "device/capture/pacer.h"

#include <gtest/gtest.h>

namespace selvedge {
namespace {

constexpr Nanos kStep = 100 * kMillisecond;

TEST(Pacer, FollowsTheTimestampsWhateverTheirOrigin) {
  Pacer pacer(1);
  EXPECT_EQ(pacer.Due(7 * kSecond, kStep, 1000), 1000);
  EXPECT_EQ(pacer.Due(7 * kSecond + kStep, kStep, 1500), 1000 + kStep);
  EXPECT_EQ(pacer.Due(7 * kSecond + 5 * kStep, kStep, 2000), 1000 + 5 * kStep);
}

TEST(Pacer, LatenessDoesNotShiftTheSchedule) {
  Pacer pacer(1);
  pacer.Due(0, kStep, 0);
  EXPECT_EQ(pacer.Due(kStep, kStep, kStep + 300 * kMillisecond), kStep);
  EXPECT_EQ(pacer.Due(2 * kStep, kStep, 2 * kStep), 2 * kStep);
  EXPECT_EQ(pacer.Slips(), 0u);
}

TEST(Pacer, FarBehindStartsANewSchedule) {
  Pacer pacer(1);
  pacer.Due(0, kStep, 0);
  const Nanos late = kStep + Pacer::kMaxLag + 1;
  EXPECT_EQ(pacer.Due(kStep, kStep, late), late);
  EXPECT_EQ(pacer.Due(2 * kStep, kStep, late), late + kStep);
  EXPECT_EQ(pacer.Slips(), 1u);
}

TEST(Pacer, MissingAndBackwardTimestampsGoOneStepOn) {
  Pacer pacer(1);
  pacer.Due(10 * kSecond, kStep, 0);
  EXPECT_EQ(pacer.Due(std::nullopt, kStep, 0), kStep);
  EXPECT_EQ(pacer.Due(3 * kSecond, kStep, 0), 2 * kStep);
  EXPECT_EQ(pacer.Due(3 * kSecond + kStep, kStep, 0), 3 * kStep);
  EXPECT_EQ(pacer.Due(1 * kSecond, kStep, 0), 4 * kStep);
  EXPECT_EQ(pacer.Due(1 * kSecond + Pacer::kMaxGap + 1, kStep, 0), 5 * kStep);
}

TEST(Pacer, RewindGoesOnWithoutAGap) {
  Pacer pacer(1);
  pacer.Due(0, kStep, 0);
  pacer.Due(kStep, kStep, kStep);
  pacer.Rewind();
  EXPECT_EQ(pacer.Due(0, kStep, kStep), 2 * kStep);
  EXPECT_EQ(pacer.Due(kStep, kStep, 2 * kStep), 3 * kStep);
}

TEST(Pacer, SpeedDividesDistances) {
  Pacer pacer(2);
  pacer.Due(0, kStep, 0);
  EXPECT_EQ(pacer.Due(kStep, kStep, 0), kStep / 2);
  EXPECT_EQ(pacer.Due(std::nullopt, kStep, 0), kStep);
}

TEST(Pacer, UnknownRateUsesTheDefaultStep) {
  Pacer pacer(1);
  pacer.Due(std::nullopt, 0, 0);
  EXPECT_EQ(pacer.Due(std::nullopt, 0, 0), Pacer::kDefaultStep);
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
