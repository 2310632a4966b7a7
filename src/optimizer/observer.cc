#include "optimizer/observer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

namespace selvedge {

void Histogram::Grow(float largest) {
  while (largest >= reach_) {
    // The old reach becomes the middle half of the new one.
    std::vector<std::uint64_t> wider(kBins, 0);
    for (std::size_t i = 0; i < kBins; ++i) {
      wider[kBins / 4 + i / 2] += counts_[i];
    }
    counts_ = std::move(wider);
    reach_ *= 2;
  }
}

namespace {

// Independent accumulators, so that the processor need not wait for one before the next.
constexpr std::size_t kLanes = 16;
constexpr std::size_t kTables = 4;

struct Extent {
  float low = std::numeric_limits<float>::infinity();
  float high = -std::numeric_limits<float>::infinity();
  std::uint64_t zeros = 0;
  std::uint64_t not_finite = 0;
};

void Widen(float value, Extent* extent) {
  if (!std::isfinite(value)) {
    ++extent->not_finite;
    return;
  }
  extent->low = std::min(extent->low, value);
  extent->high = std::max(extent->high, value);
  extent->zeros += value == 0 ? 1 : 0;
}

Extent ExtentOf(std::span<const float> values) {
  Extent extent;
  std::array<float, kLanes> low;
  std::array<float, kLanes> high;
  std::array<float, kLanes> odd{};
  std::array<std::uint32_t, kLanes> zeros{};
  low.fill(extent.low);
  high.fill(extent.high);
  const std::size_t whole = values.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float value = values[i + lane];
      low[lane] = value < low[lane] ? value : low[lane];
      high[lane] = value > high[lane] ? value : high[lane];
      odd[lane] += value - value;  // 0, or NaN where the value is not finite
      zeros[lane] += value == 0 ? 1U : 0U;
    }
  }
  if (std::ranges::any_of(odd, [](float sum) { return sum != 0; })) {
    for (const float value : values) Widen(value, &extent);
    return extent;
  }
  if (whole > 0) {
    extent.low = std::ranges::min(low);
    extent.high = std::ranges::max(high);
    for (const std::uint32_t count : zeros) extent.zeros += count;
  }
  for (const float value : values.subspan(whole)) Widen(value, &extent);
  return extent;
}

}  // namespace

void Histogram::Add(std::span<const float> values) {
  const Extent extent = ExtentOf(values);
  not_finite_ += extent.not_finite;
  if (extent.not_finite == values.size()) return;
  lowest_ = total_ == 0 ? extent.low : std::min(lowest_, extent.low);
  highest_ = total_ == 0 ? extent.high : std::max(highest_, extent.high);
  total_ += values.size() - extent.not_finite;
  zeros_ += extent.zeros;
  Grow(std::max(std::abs(extent.low), std::abs(extent.high)));
  const auto reach = static_cast<float>(reach_);
  const auto per_unit = static_cast<float>(kBins / (2 * reach_));
  const auto bin_of = [&](float value) {
    return static_cast<std::size_t>(
        std::min(static_cast<int>((value + reach) * per_unit), kBins - 1));
  };
  if (extent.not_finite > 0) {
    for (const float value : values) {
      if (std::isfinite(value)) ++counts_[bin_of(value)];
    }
    return;
  }
  // Neighbours are often equal (zeros behind a Relu): in tables of their own they do not wait for
  // each other.
  std::vector<std::uint32_t> tables(kTables * kBins, 0);
  const std::size_t whole = values.size() / kTables * kTables;
  for (std::size_t i = 0; i < whole; i += kTables) {
    for (std::size_t k = 0; k < kTables; ++k) ++tables[k * kBins + bin_of(values[i + k])];
  }
  for (const float value : values.subspan(whole)) ++tables[bin_of(value)];
  for (std::size_t i = 0; i < tables.size(); ++i) counts_[i % kBins] += tables[i];
}

namespace {

double SumOf(std::span<const float> values) {
  std::array<double, kLanes> sums{};
  const std::size_t whole = values.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += values[i + lane];
  }
  double sum = std::accumulate(sums.begin(), sums.end(), 0.0);
  for (const float value : values.subspan(whole)) sum += value;
  if (std::isfinite(sum)) return sum;
  sum = 0;
  for (const float value : values) sum += std::isfinite(value) ? value : 0;
  return sum;
}

}  // namespace

void ChannelMeans::Add(std::span<const float> values, std::size_t channels,
                       std::size_t per_channel) {
  sums_.resize(channels, 0);
  if (channels == 0 || per_channel == 0) return;
  const std::size_t pictures = values.size() / (channels * per_channel);
  for (std::size_t n = 0; n < pictures; ++n) {
    for (std::size_t c = 0; c < channels; ++c) {
      const std::span<const float> plane =
          values.subspan((n * channels + c) * per_channel, per_channel);
      sums_[c] += SumOf(plane);
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
