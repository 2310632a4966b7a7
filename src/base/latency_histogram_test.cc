#include "base/latency_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace selvedge {
namespace {

TEST(LatencyHistogram, EmptyIsZero) {
  const LatencyHistogram histogram;
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.Percentile(50), 0);
  EXPECT_EQ(histogram.Max(), 0);
}

TEST(LatencyHistogram, PercentilesAreWithinTwoPercentOfTheSortedList) {
  LatencyHistogram histogram;
  std::mt19937 random(7);
  std::lognormal_distribution<double> millis(2.5, 1.2);
  std::vector<Nanos> all;
  for (int i = 0; i < 20'000; ++i) {
    all.push_back(static_cast<Nanos>(millis(random) * 1e6));
    histogram.Record(all.back());
  }
  std::sort(all.begin(), all.end());
  for (const double percent : {1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    const auto rank = static_cast<std::size_t>(std::ceil(percent / 100 * 20'000)) - 1;
    const auto exact = static_cast<double>(all[rank]);
    const auto got = static_cast<double>(histogram.Percentile(percent));
    EXPECT_GE(got, exact * 0.999) << percent;
    EXPECT_LE(got, exact * 1.02 + 1000) << percent;
  }
  EXPECT_EQ(histogram.Max(), all.back());
}

TEST(LatencyHistogram, ClampsWhatIsOutOfRange) {
  LatencyHistogram histogram;
  histogram.Record(-5);
  histogram.Record(100'000 * kSecond);
  EXPECT_EQ(histogram.count(), 2U);
  EXPECT_LE(histogram.Percentile(50), 2 * kMicrosecond);
  EXPECT_GE(histogram.Percentile(100), 3'600 * kSecond);
}

}  // namespace
}  // namespace selvedge
