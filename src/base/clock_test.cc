#include "base/clock.h"

#include <gtest/gtest.h>

#include <ctime>

namespace selvedge {
namespace {

TEST(Clock, MonotonicNeverGoesBack) {
  const Clock& clock = Clock::System();
  Nanos last = clock.Monotonic();
  for (int i = 0; i < 10'000; ++i) {
    const Nanos now = clock.Monotonic();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(Clock, WallCountsFromTheEpoch) {
  const Nanos before = static_cast<Nanos>(std::time(nullptr)) * kSecond;
  const Nanos wall = Clock::System().Wall();
  EXPECT_GE(wall, before - kSecond);
  EXPECT_LE(wall, before + 60 * kSecond);
}

TEST(Clock, Units) {
  EXPECT_EQ(ToMillis(1'500'000), 1.5);
  EXPECT_EQ(ToSeconds(1'500 * kMillisecond), 1.5);
  EXPECT_EQ(FromSeconds(0.25), 250 * kMillisecond);
}

TEST(FakeClock, MovesOnlyWhenTold) {
  FakeClock clock(5, 100);
  EXPECT_EQ(clock.Monotonic(), 5);
  EXPECT_EQ(clock.Wall(), 100);
  clock.Advance(10);
  EXPECT_EQ(clock.Monotonic(), 15);
  EXPECT_EQ(clock.Wall(), 110);
  clock.SetWall(7);  // the wall may jump; monotonic time does not
  EXPECT_EQ(clock.Monotonic(), 15);
  EXPECT_EQ(clock.Wall(), 7);
}

}  // namespace
}  // namespace selvedge
