#include "optimizer/observer.h"

#include <algorithm>
#include <cmath>

namespace selvedge {

void Histogram::Grow(float largest) {
  while (largest >= reach_) {
    // The old reach becomes the middle half of the new one.
    std::vector<std::uint64_t> wider(kBins, 0);
    for (int i = 0; i < kBins; ++i) {
      wider[static_cast<std::size_t>(kBins / 4 + i / 2)] += counts_[static_cast<std::size_t>(i)];
    }
    counts_ = std::move(wider);
    reach_ *= 2;
  }
}

void Histogram::Add(std::span<const float> values) {
  float low = lowest_;
  float high = highest_;
  std::uint64_t odd = 0;
  for (const float value : values) {
    if (!std::isfinite(value)) {
      ++odd;
      continue;
    }
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (total_ == 0 && odd < values.size()) {
    const auto finite = [](float value) { return std::isfinite(value); };
    low = high = *std::ranges::find_if(values, finite);
    for (const float value : values) {
      if (!finite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  lowest_ = low;
  highest_ = high;
  not_finite_ += odd;
  total_ += values.size() - odd;
  Grow(std::max(std::abs(low), std::abs(high)));
  const auto reach = static_cast<float>(reach_);
  const auto per_unit = static_cast<float>(kBins / (2 * reach_));
  std::uint64_t* counts = counts_.data();
  std::uint64_t zeros = 0;
  for (const float value : values) {
    if (odd > 0 && !std::isfinite(value)) continue;
    zeros += value == 0 ? 1 : 0;
    ++counts[std::min(static_cast<int>((value + reach) * per_unit), kBins - 1)];
  }
  zeros_ += zeros;
}

void ChannelMeans::Add(std::span<const float> values, std::size_t channels,
                       std::size_t per_channel) {
  sums_.resize(channels, 0);
  if (channels == 0 || per_channel == 0) return;
  const std::size_t pictures = values.size() / (channels * per_channel);
  for (std::size_t n = 0; n < pictures; ++n) {
    for (std::size_t c = 0; c < channels; ++c) {
      const std::span<const float> plane =
          values.subspan((n * channels + c) * per_channel, per_channel);
      double sum = 0;
      for (const float value : plane) sum += std::isfinite(value) ? value : 0;
      sums_[c] += sum;
    }
  }
  count_ += static_cast<double>(pictures * per_channel);
}

std::vector<double> ChannelMeans::Means() const {
  std::vector<double> means = sums_;
  for (double& mean : means) mean = count_ > 0 ? mean / count_ : 0;
  return means;
}

}  // namespace selvedge
