#include <algorithm>
#include <cmath>
#include <limits>

#include "optimizer/quantize.h"

namespace selvedge {
namespace {

constexpr int kScalesTried = 20;

double SquaredError(std::span<const float> weights, double scale, int largest) {
  double error = 0;
  for (const float weight : weights) {
    const double q = std::clamp(std::nearbyint(weight / scale), -1.0 * largest, 1.0 * largest);
    error += (weight - q * scale) * (weight - q * scale);
  }
  return error;
}

float BestScale(std::span<const float> weights, int largest) {
  float highest = 0;
  for (const float weight : weights) highest = std::max(highest, std::abs(weight));
  const float full = highest / static_cast<float>(largest);
  if (!(full > std::numeric_limits<float>::min())) return 1;
  float best = full;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kScalesTried; ++i) {
    const float scale = full * (1 - 0.01F * static_cast<float>(i));
    const double error = SquaredError(weights, scale, largest);
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

}  // namespace

QuantizedWeights QuantizeWeights(std::span<const float> weights, const WeightContext& context) {
  QuantizedWeights result;
  const std::size_t per_channel = weights.size() / context.channels;
  const std::size_t inputs_per_group = per_channel / context.taps;
  const std::size_t channels_per_group = context.channels / context.groups;
  for (std::size_t c = 0; c < context.channels; ++c) {
    const std::span<const float> channel = weights.subspan(c * per_channel, per_channel);
    float scale = BestScale(channel, context.largest);
    if (!context.least_scales.empty()) scale = std::max(scale, context.least_scales[c]);
    const std::size_t first_input = c / channels_per_group * inputs_per_group;
    double error = 0;
    for (std::size_t k = 0; k < per_channel; ++k) {
      const float q =
          std::clamp(std::nearbyint(channel[k] / scale), -static_cast<float>(context.largest),
                     static_cast<float>(context.largest));
      result.values.push_back(static_cast<std::int8_t>(q));
      const std::size_t input = first_input + k / context.taps;
      if (input < context.input_means.size()) {
        error += (channel[k] - static_cast<double>(q) * scale) * context.input_means[input];
      }
    }
    result.scales.push_back(scale);
    result.bias_error.push_back(error);
  }
  return result;
}

}  // namespace selvedge
