#include "optimizer/observer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>
#include <vector>

namespace selvedge {
namespace {

std::uint64_t Sum(const Histogram& histogram) {
  return std::accumulate(histogram.counts().begin(), histogram.counts().end(), std::uint64_t{0});
}

TEST(HistogramTest, CountsEveryValueInItsBinHoweverFarTheReachGrows) {
  Histogram histogram;
  const std::vector<float> small = {0, 0.0001F, -0.0001F};
  const std::vector<float> large = {3, -5, 0.5F};
  histogram.Add(small);
  histogram.Add(large);
  EXPECT_EQ(histogram.reach(), 8);
  EXPECT_EQ(Sum(histogram), 6U);
  EXPECT_EQ(histogram.total(), 6U);
  EXPECT_EQ(histogram.zeros(), 1U);
  EXPECT_EQ(histogram.lowest(), -5);
  EXPECT_EQ(histogram.highest(), 3);
  for (const float value : large) {
    const auto bin = static_cast<std::size_t>((value + histogram.reach()) / histogram.bin_width());
    EXPECT_EQ(histogram.counts()[bin], 1U) << value;
    EXPECT_NEAR(histogram.Middle(static_cast<int>(bin)), value, histogram.bin_width());
  }
}

TEST(HistogramTest, TheOrderOfPicturesDoesNotMatter) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, 4);
  std::vector<float> first(1000);
  std::vector<float> second(1000);
  for (float& value : first) value = normal(random) / 100;
  for (float& value : second) value = normal(random);
  Histogram forwards;
  forwards.Add(first);
  forwards.Add(second);
  Histogram backwards;
  backwards.Add(second);
  backwards.Add(first);
  EXPECT_EQ(forwards.reach(), backwards.reach());
  // Small values near a bin's edge may land beside it, never farther.
  std::int64_t balance = 0;
  for (std::size_t i = 0; i < forwards.counts().size(); ++i) {
    balance += static_cast<std::int64_t>(forwards.counts()[i]) -
               static_cast<std::int64_t>(backwards.counts()[i]);
    EXPECT_LE(std::abs(balance), 2) << "bin " << i;
  }
}

TEST(HistogramTest, WhatIsNotFiniteIsCountedApart) {
  Histogram histogram;
  const std::vector<float> values = {std::nanf(""), 1, INFINITY, -INFINITY, 2};
  histogram.Add(values);
  EXPECT_EQ(histogram.not_finite(), 3U);
  EXPECT_EQ(histogram.total(), 2U);
  EXPECT_EQ(Sum(histogram), 2U);
  EXPECT_EQ(histogram.lowest(), 1);
  EXPECT_EQ(histogram.highest(), 2);
  Histogram none;
  none.Add(std::vector<float>{std::nanf("")});
  EXPECT_EQ(none.total(), 0U);
}

TEST(ChannelMeansTest, AveragesOverPicturesAndPlaces) {
  ChannelMeans means;
  const std::vector<float> one = {1, 2, 3, 4, 10, 20, 30, 40};  // [1, 2, 4]
  const std::vector<float> two = {5, 5, 5, 5, 0, 0, 0, 0};
  means.Add(one, 2, 4);
  means.Add(two, 2, 4);
  EXPECT_EQ(means.Means(), (std::vector<double>{3.75, 12.5}));
  EXPECT_TRUE(ChannelMeans().Means().empty());
}

}  // namespace
}  // namespace selvedge
