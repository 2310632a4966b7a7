#pragma once

// Rates and latencies over the last seconds, for the overview. Values; thread-compatible.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace selvedge {

// How many a second, over the last ten whole seconds.
class RateWindow {
 public:
  void Add(Nanos now, double count) {
    Forward(now);
    buckets_[static_cast<std::size_t>(second_ % kBuckets)] += count;
  }
  double PerSecond(Nanos now) {
    Forward(now);
    double sum = 0;
    for (const double bucket : buckets_) sum += bucket;
    // The second under way is not whole yet.
    sum -= buckets_[static_cast<std::size_t>(second_ % kBuckets)];
    return sum / (kBuckets - 1);
  }

 private:
  static constexpr std::int64_t kBuckets = 11;

  void Forward(Nanos now) {
    const std::int64_t second = now / kSecond;
    if (second - second_ >= kBuckets) {
      buckets_.fill(0);
      second_ = second;
    }
    while (second_ < second) buckets_[static_cast<std::size_t>(++second_ % kBuckets)] = 0;
  }

  std::array<double, kBuckets> buckets_ = {};
  std::int64_t second_ = 0;
};

// The rate of a counter that somebody else keeps.
class ByteRate {
 public:
  void Update(Nanos now, std::uint64_t total) {
    if (total > last_ && seen_) window_.Add(now, static_cast<double>(total - last_));
    last_ = total;
    seen_ = true;
  }
  double PerSecond(Nanos now) { return window_.PerSecond(now); }
  std::uint64_t total() const { return last_; }

 private:
  RateWindow window_;
  std::uint64_t last_ = 0;
  bool seen_ = false;
};

// Of the last 1,024 within five minutes.
class RecentLatencies {
 public:
  void Add(Nanos now, double milliseconds) {
    samples_[next_ % kSamples] = {now, milliseconds};
    ++next_;
  }
  // `share` 0.5 is the median; 0 where there is none.
  double Quantile(Nanos now, double share) const {
    std::vector<double> recent;
    for (std::size_t i = 0; i < std::min(next_, kSamples); ++i) {
      if (now - samples_[i].at < 300 * kSecond) recent.push_back(samples_[i].milliseconds);
    }
    if (recent.empty()) return 0;
    const auto at =
        static_cast<std::size_t>(std::lround(share * static_cast<double>(recent.size() - 1)));
    std::nth_element(recent.begin(), recent.begin() + static_cast<std::ptrdiff_t>(at),
                     recent.end());
    return recent[at];
  }

 private:
  struct Sample {
    Nanos at = 0;
    double milliseconds = 0;
  };
  static constexpr std::size_t kSamples = 1024;
  std::array<Sample, kSamples> samples_ = {};
  std::size_t next_ = 0;
};

}  // namespace selvedge
