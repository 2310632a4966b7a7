#include "base/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace selvedge {
namespace {

constexpr std::uint64_t kMaxMicros = 3'600'000'000;

}  // namespace

std::size_t LatencyHistogram::IndexOf(std::uint64_t micros) {
  if (micros < kSteps) return micros;
  const int magnitude = std::bit_width(micros) - 1 - kStepBits;
  // The top kStepBits+1 bits; the leading one is implied by the magnitude.
  const std::uint64_t step = (micros >> magnitude) - kSteps;
  return (static_cast<std::size_t>(magnitude) + 1) * kSteps + step;
}

std::uint64_t LatencyHistogram::UpperMicros(std::size_t index) {
  if (index < kSteps) return index;
  const std::size_t magnitude = index / kSteps - 1;
  const std::uint64_t step = index % kSteps;
  return ((kSteps + step + 1) << magnitude) - 1;
}

void LatencyHistogram::Record(Nanos latency) {
  const Nanos clamped = std::max<Nanos>(latency, 0);
  const std::uint64_t micros =
      std::clamp<std::uint64_t>(static_cast<std::uint64_t>(clamped) / 1000, 1, kMaxMicros);
  buckets_[std::min(IndexOf(micros), kBuckets - 1)].fetch_add(1, std::memory_order_relaxed);
  sum_micros_.fetch_add(micros, std::memory_order_relaxed);
  Nanos seen = max_.load(std::memory_order_relaxed);
  while (seen < clamped && !max_.compare_exchange_weak(seen, clamped, std::memory_order_relaxed)) {
  }
}

std::uint64_t LatencyHistogram::count() const {
  std::uint64_t total = 0;
  for (const auto& bucket : buckets_) total += bucket.load(std::memory_order_relaxed);
  return total;
}

Nanos LatencyHistogram::Percentile(double percent) const {
  const std::uint64_t total = count();
  if (total == 0) return 0;
  const double rank = std::ceil(percent / 100.0 * static_cast<double>(total));
  const auto wanted = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(rank));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i].load(std::memory_order_relaxed);
    if (seen >= wanted) {
      return std::min<Nanos>(static_cast<Nanos>(UpperMicros(i)) * kMicrosecond + 999, Max());
    }
  }
  return Max();
}

double LatencyHistogram::MeanNanos() const {
  const std::uint64_t total = count();
  if (total == 0) return 0;
  return static_cast<double>(sum_micros_.load(std::memory_order_relaxed)) * 1e3 /
         static_cast<double>(total);
}

void LatencyHistogram::Reset() {
  for (auto& bucket : buckets_) bucket.store(0, std::memory_order_relaxed);
  sum_micros_.store(0, std::memory_order_relaxed);
  max_.store(0, std::memory_order_relaxed);
}

}  // namespace selvedge
