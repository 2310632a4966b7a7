#pragma once

// LatencyHistogram: percentiles of durations without keeping every one.
//
// Log-linear buckets (the layout of Gil Tene's HdrHistogram): 64 linear steps per power of two, so
// a value read back is at most 1.6 % above the one recorded. 1 µs to 1 hour; shorter counts as 1
// µs, longer as 1 hour. Record is lock-free and allocates nothing; 14 KiB each. Thread-safe; a
// Snapshot of percentiles taken while others record is approximate.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace selvedge {

class LatencyHistogram {
 public:
  void Record(Nanos latency);
  std::uint64_t count() const;
  // Nearest-rank percentile, `percent` in (0, 100]; 0 where nothing was recorded.
  Nanos Percentile(double percent) const;
  Nanos Max() const { return max_.load(std::memory_order_relaxed); }
  double MeanNanos() const;
  void Reset();

 private:
  static constexpr int kStepBits = 6;
  static constexpr std::size_t kSteps = std::size_t{1} << kStepBits;
  static constexpr std::size_t kBuckets = kSteps * 27;

  static std::size_t IndexOf(std::uint64_t micros);
  static std::uint64_t UpperMicros(std::size_t index);

  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_ = {};
  std::atomic<std::uint64_t> sum_micros_{0};
  std::atomic<Nanos> max_{0};
};

}  // namespace selvedge
