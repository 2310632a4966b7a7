#pragma once

// Observers: what a value of the graph was like over all pictures, in memory that does not grow
// with their number.
//
// Value types; one thread at a time. Floats that are not finite are counted and otherwise left out.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace selvedge {

// Counts over [-reach, reach) in bins of equal width. The reach doubles whenever a value lies
// outside, two bins becoming one, so nothing needs to be known beforehand and the result does not
// depend on the order of values beyond the bins' width.
class Histogram {
 public:
  static constexpr int kBins = 8192;

  void Add(std::span<const float> values);

  double reach() const { return reach_; }
  double bin_width() const { return 2 * reach_ / kBins; }
  // Middle of bin i.
  double Middle(int i) const { return (i + 0.5) * bin_width() - reach_; }
  const std::vector<std::uint64_t>& counts() const { return counts_; }
  std::uint64_t total() const { return total_; }
  std::uint64_t zeros() const { return zeros_; }  // exactly 0, also counted in their bin
  std::uint64_t not_finite() const { return not_finite_; }
  // Exact; 0 where nothing was added.
  float lowest() const { return lowest_; }
  float highest() const { return highest_; }

 private:
  void Grow(float largest);

  double reach_ = 1.0 / 1024;
  std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>(kBins, 0);
  std::uint64_t total_ = 0;
  std::uint64_t zeros_ = 0;
  std::uint64_t not_finite_ = 0;
  float lowest_ = 0;
  float highest_ = 0;
};

// Mean of each channel of values [n, channels, ...].
class ChannelMeans {
 public:
  // `values` in row-major order; channels is the second dimension, `per_channel` the product of
  // those after it.
  void Add(std::span<const float> values, std::size_t channels, std::size_t per_channel);
  std::vector<double> Means() const;

 private:
  std::vector<double> sums_;
  double count_ = 0;
};

}  // namespace selvedge
