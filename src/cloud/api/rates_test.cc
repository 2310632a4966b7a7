#include "cloud/api/rates.h"

#include <gtest/gtest.h>

namespace selvedge {
namespace {

TEST(RateWindow, IsTheMeanOfTheLastTenSeconds) {
  RateWindow window;
  for (int second = 0; second < 30; ++second) window.Add(second * kSecond, 5);
  EXPECT_DOUBLE_EQ(window.PerSecond(29 * kSecond), 5);
  EXPECT_DOUBLE_EQ(window.PerSecond(34 * kSecond), 3);  // five seconds of silence, one under way
  EXPECT_DOUBLE_EQ(window.PerSecond(100 * kSecond), 0);
  window.Add(101 * kSecond, 10);
  EXPECT_DOUBLE_EQ(window.PerSecond(102 * kSecond), 1);
}

TEST(ByteRate, CountsWhatIsAddedNotWhatWasThere) {
  ByteRate rate;
  rate.Update(kSecond, 1'000'000);
  EXPECT_DOUBLE_EQ(rate.PerSecond(2 * kSecond), 0);
  rate.Update(2 * kSecond, 1'000'100);
  EXPECT_DOUBLE_EQ(rate.PerSecond(3 * kSecond), 10);
  rate.Update(3 * kSecond, 50);  // began anew
  EXPECT_DOUBLE_EQ(rate.PerSecond(4 * kSecond), 10);
  EXPECT_EQ(rate.total(), 50U);
}

TEST(RecentLatencies, QuantilesOfTheLastFiveMinutes) {
  RecentLatencies latencies;
  EXPECT_EQ(latencies.Quantile(0, 0.5), 0);
  for (int i = 1; i <= 101; ++i) latencies.Add(kSecond, i);
  EXPECT_EQ(latencies.Quantile(2 * kSecond, 0.5), 51);
  EXPECT_EQ(latencies.Quantile(2 * kSecond, 0.99), 100);
  EXPECT_EQ(latencies.Quantile(302 * kSecond, 0.5), 0);
}

}  // namespace
}  // namespace selvedge
