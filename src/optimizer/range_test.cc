#include "optimizer/range.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "optimizer/quantize.h"

namespace selvedge {
namespace {

Histogram Of(const std::vector<float>& values) {
  Histogram histogram;
  histogram.Add(values);
  return histogram;
}

// What eight bits make of the values.
double SquaredErrorOf(const std::vector<float>& values, const ValueRange& range) {
  const AffineScale scale = ScaleOf(range);
  double error = 0;
  for (const float value : values) {
    const float q = std::clamp(
        std::nearbyint(value / scale.scale) + static_cast<float>(scale.zero_point), 0.0F, 255.0F);
    const float back = (q - static_cast<float>(scale.zero_point)) * scale.scale;
    error += (value - back) * (value - back);
  }
  return error;
}

std::vector<float> WithOutliers() {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> values(20000);
  for (float& value : values) value = std::abs(normal(random));
  values[7] = 60;
  return values;
}

TEST(ChooseRange, EveryCalibratorHoldsZeroAndNoMoreThanWasSeen) {
  const std::vector<std::vector<float>> cases = {{1, 2, 3}, {-3, -2}, {-1, 4, 0}, WithOutliers()};
  for (const auto& values : cases) {
    for (const char* name : {"minmax", "percentile", "entropy", "mse"}) {
      const Histogram histogram = Of(values);
      const ValueRange range = ChooseRange(histogram, CalibratorNamed(name).value());
      EXPECT_LE(range.low, 0) << name;
      EXPECT_GE(range.high, 0) << name;
      EXPECT_GE(range.low, std::min(histogram.lowest(), 0.0F)) << name;
      EXPECT_LE(range.high, std::max(histogram.highest(), 0.0F)) << name;
      EXPECT_LT(range.low, range.high) << name;
    }
  }
}

TEST(ChooseRange, MinMaxTakesAll) {
  const ValueRange range = ChooseRange(Of({-1.5F, 0.25F, 2.5F}), Calibrator::kMinMax);
  EXPECT_EQ(range.low, -1.5F);
  EXPECT_EQ(range.high, 2.5F);
}

TEST(ChooseRange, PercentileLeavesTheOutermostOut) {
  std::vector<float> values;
  for (int i = 1; i <= 1000; ++i) values.push_back(static_cast<float>(i) / 100);
  const ValueRange range = ChooseRange(Of(values), Calibrator::kPercentile, 99);
  EXPECT_NEAR(range.high, 9.9, 0.02);  // 1 % of 1000 values above it
  EXPECT_EQ(range.low, 0);
}

TEST(ChooseRange, MseIsAsGoodAsTheBestOfManyTriedOut) {
  const std::vector<float> values = WithOutliers();
  const Histogram histogram = Of(values);
  const double chosen = SquaredErrorOf(values, ChooseRange(histogram, Calibrator::kMse));
  double best = 1e9;
  for (int i = 30; i <= 100; ++i) {
    best = std::min(best, SquaredErrorOf(values, {.low = 0, .high = 0.6F * static_cast<float>(i)}));
  }
  EXPECT_LT(chosen, best * 1.1);
  // Not so with two outliers' worth of mass near the end: nothing is cut that is often there.
  EXPECT_GT(ChooseRange(Of({0, 1, 2, 3, 4, 5, 6, 6, 6, 6}), Calibrator::kMse).high, 5.9F);
}

TEST(ChooseRange, EntropyCutsALoneOutlier) {
  EXPECT_LT(ChooseRange(Of(WithOutliers()), Calibrator::kEntropy).high, 40);
}

// Behind a Relu6: mostly zeros, a smooth part, and a spike where it saturates.
TEST(ChooseRange, ZerosDoNotSpeakForASmallRange) {
  std::mt19937 random(8);
  std::normal_distribution<float> normal(1, 2);
  std::vector<float> values(20000, 0);
  for (std::size_t i = 0; i < 8000; ++i) values[i] = std::clamp(normal(random), 0.0F, 6.0F);
  for (const Calibrator calibrator : {Calibrator::kEntropy, Calibrator::kMse}) {
    EXPECT_GT(ChooseRange(Of(values), calibrator).high, 4.5F);
  }
}

TEST(ChooseRange, NothingSeenIsNoRange) {
  EXPECT_EQ(ChooseRange(Histogram(), Calibrator::kMse).high, 0);
  EXPECT_EQ(ScaleOf({}).scale, 1);
  const auto unknown = CalibratorNamed("best");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_THAT(unknown.error().message(), testing::HasSubstr("minmax, percentile, entropy and mse"));
}

TEST(ScaleOfTest, RepresentsZeroExactly) {
  const AffineScale relu6 = ScaleOf({.low = 0, .high = 6});
  EXPECT_FLOAT_EQ(relu6.scale, 6.0F / 255);
  EXPECT_EQ(relu6.zero_point, 0);
  EXPECT_NEAR(ScaleOf({.low = -1, .high = 1}).zero_point, 127.5, 0.5);
  EXPECT_EQ(ScaleOf({.low = -2, .high = 0}).zero_point, 255);
}

TEST(QuantizeWeightsTest, EachChannelHasItsOwnScaleAndKnowsItsMeanError) {
  // Two channels of two inputs: 0.5 and 1 fit 127 levels of 1/127 but for rounding.
  const std::vector<float> weights = {0.5F, 1, 50, 100};
  const QuantizedWeights q =
      QuantizeWeights(weights, {.channels = 2, .input_means = {2, 3}, .largest = 127});
  ASSERT_EQ(q.scales.size(), 2U);
  EXPECT_NEAR(q.scales[1] / q.scales[0], 100, 1e-3);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    EXPECT_NEAR(q.values[i] * q.scales[i / 2], weights[i], q.scales[i / 2] * 0.51);
  }
  const double error = (0.5 - static_cast<double>(q.values[0]) * q.scales[0]) * 2 +
                       (1 - static_cast<double>(q.values[1]) * q.scales[0]) * 3;
  EXPECT_NEAR(q.bias_error[0], error, 1e-6);
}

TEST(QuantizeWeightsTest, ReducedRangeDeadChannelsAndLeastScales) {
  const std::vector<float> weights = {-1, 1, 0, 0};
  const QuantizedWeights q = QuantizeWeights(weights, {.channels = 2, .largest = 63});
  EXPECT_EQ(q.values[0], -63);
  EXPECT_EQ(q.values[1], 63);
  EXPECT_EQ(q.scales[1], 1);
  const QuantizedWeights coarse =
      QuantizeWeights(weights, {.channels = 2, .least_scales = {0.5F, 0}});
  EXPECT_EQ(coarse.scales[0], 0.5F);
}

// A depthwise convolution's channel multiplies its own input only.
TEST(QuantizeWeightsTest, GroupsReadTheirOwnInputs) {
  const std::vector<float> weights = {0.3F, 1, 0.7F, 1};  // [2, 1, 2]
  const QuantizedWeights q = QuantizeWeights(
      weights, {.channels = 2, .groups = 2, .taps = 2, .input_means = {0, 5}, .largest = 7});
  EXPECT_EQ(q.bias_error[0], 0);
  const double error = (0.7F - static_cast<double>(q.values[2]) * q.scales[1]) * 5 +
                       (1 - static_cast<double>(q.values[3]) * q.scales[1]) * 5;
  EXPECT_NEAR(q.bias_error[1], error, 1e-6);
}

}  // namespace
}  // namespace selvedge
