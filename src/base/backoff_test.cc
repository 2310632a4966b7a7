#include "base/backoff.h"

#include <gtest/gtest.h>

namespace selvedge {
namespace {

TEST(Backoff, DoublesUpToTheCap) {
  Backoff backoff(500 * kMillisecond, 3 * kSecond, [] { return 1.0; });
  EXPECT_EQ(backoff.Next(), 500 * kMillisecond);
  EXPECT_EQ(backoff.Next(), 1 * kSecond);
  EXPECT_EQ(backoff.Next(), 2 * kSecond);
  EXPECT_EQ(backoff.Next(), 3 * kSecond);
  EXPECT_EQ(backoff.Next(), 3 * kSecond);
}

TEST(Backoff, JitterTakesUpToHalfOff) {
  double random = 0;
  Backoff backoff(1 * kSecond, 1 * kSecond, [&] { return random; });
  EXPECT_EQ(backoff.Next(), 500 * kMillisecond);
  random = 0.5;
  EXPECT_EQ(backoff.Next(), 750 * kMillisecond);
  random = 7;  // a broken generator stays inside the bounds
  EXPECT_EQ(backoff.Next(), 1 * kSecond);
  random = -7;
  EXPECT_EQ(backoff.Next(), 500 * kMillisecond);
}

TEST(Backoff, ResetStartsAgain) {
  Backoff backoff(1 * kSecond, 60 * kSecond, [] { return 1.0; });
  backoff.Next();
  backoff.Next();
  backoff.Reset();
  EXPECT_EQ(backoff.Next(), 1 * kSecond);
}

TEST(Backoff, NeverBusyLoopsNorOverflows) {
  Backoff zero(0, 0, [] { return 0.0; });
  for (int i = 0; i < 100; ++i) EXPECT_GE(zero.Next(), kMillisecond / 2);
  Backoff huge(INT64_MAX / 2, INT64_MAX, [] { return 1.0; });
  for (int i = 0; i < 100; ++i) EXPECT_GT(huge.Next(), 0);
}

}  // namespace
}  // namespace selvedge
