#include "optimizer/range.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace selvedge {
namespace {

constexpr int kLevels = 256;
constexpr int kSteps = 70;          // ranges tried: from all that was seen downwards,
constexpr double kStepSize = 0.01;  // by a hundredth of it each

ValueRange Seen(const Histogram& histogram) {
  return {.low = std::min(histogram.lowest(), 0.0F), .high = std::max(histogram.highest(), 0.0F)};
}

ValueRange Percentile(const Histogram& histogram, double percentile) {
  const double tail = static_cast<double>(histogram.total()) * (1 - percentile / 100);
  const auto& counts = histogram.counts();
  const ValueRange seen = Seen(histogram);
  ValueRange range = seen;
  double passed = 0;
  for (int i = 0; i < Histogram::kBins; ++i) {
    passed += static_cast<double>(counts[static_cast<std::size_t>(i)]);
    if (passed <= tail) continue;
    range.low = static_cast<float>(histogram.Middle(i) - histogram.bin_width() / 2);
    break;
  }
  passed = 0;
  for (int i = Histogram::kBins - 1; i >= 0; --i) {
    passed += static_cast<double>(counts[static_cast<std::size_t>(i)]);
    if (passed <= tail) continue;
    range.high = static_cast<float>(histogram.Middle(i) + histogram.bin_width() / 2);
    break;
  }
  // A bin reaches farther than what is in it.
  return {.low = std::clamp(range.low, seen.low, 0.0F),
          .high = std::clamp(range.high, 0.0F, seen.high)};
}

// Sum of squared errors: step^2 / 12 for what lies inside (an error spread evenly over a step), the
// squared distance to the bound for what is clipped. Exact zeros are represented exactly.
double SquaredError(const Histogram& histogram, const ValueRange& range) {
  const double step = (static_cast<double>(range.high) - range.low) / (kLevels - 1);
  double clipped = 0;
  double inside = -static_cast<double>(histogram.zeros());
  for (int i = 0; i < Histogram::kBins; ++i) {
    const auto count = static_cast<double>(histogram.counts()[static_cast<std::size_t>(i)]);
    if (count == 0) continue;
    const double x = histogram.Middle(i);
    const double beyond = std::max({0.0, x - range.high, range.low - x});
    if (beyond > 0) {
      clipped += count * beyond * beyond;
    } else {
      inside += count;
    }
  }
  return clipped + std::max(inside, 0.0) * step * step / 12;
}

// KL(P || Q) of P, the histogram with what is clipped added to its outermost bins, and Q, what is
// left of it in 256 levels, each spread evenly over those of its bins that hold something; both sum
// to 1. Exact zeros are left out: behind a Relu they are most of the mass, represented exactly by
// any range, and would speak for the smallest.
double Divergence(const Histogram& histogram, const ValueRange& range) {
  const auto bin_of = [&](double x) {
    return std::clamp(static_cast<int>((x + histogram.reach()) / histogram.bin_width()), 0,
                      Histogram::kBins - 1);
  };
  const int first = bin_of(range.low);
  const int last = bin_of(range.high);
  std::vector<double> p(static_cast<std::size_t>(last - first + 1), 0);
  std::vector<double> q = p;
  double p_total = 0;
  double q_total = 0;
  for (int i = 0; i < Histogram::kBins; ++i) {
    auto count = static_cast<double>(histogram.counts()[static_cast<std::size_t>(i)]);
    if (i == bin_of(0)) count = std::max(count - static_cast<double>(histogram.zeros()), 0.0);
    p[static_cast<std::size_t>(std::clamp(i, first, last) - first)] += count;
    p_total += count;
    if (i < first || i > last) continue;
    q[static_cast<std::size_t>(i - first)] = count;
    q_total += count;
  }
  if (q_total <= 0) return std::numeric_limits<double>::infinity();
  double divergence = 0;
  for (std::size_t level = 0; level < kLevels; ++level) {
    const std::size_t begin = level * p.size() / kLevels;
    const std::size_t end = (level + 1) * p.size() / kLevels;
    double mass = 0;
    double held = 0;
    for (std::size_t i = begin; i < end; ++i) {
      mass += q[i];
      held += p[i] > 0 ? 1 : 0;
    }
    for (std::size_t i = begin; i < end; ++i) {
      if (p[i] <= 0) continue;
      const double spread = std::max(mass / held / q_total, 1e-12);
      divergence += p[i] / p_total * std::log(p[i] / p_total / spread);
    }
  }
  return divergence;
}

}  // namespace

Result<Calibrator> CalibratorNamed(std::string_view name) {
  if (name == "minmax") return Calibrator::kMinMax;
  if (name == "percentile") return Calibrator::kPercentile;
  if (name == "entropy") return Calibrator::kEntropy;
  if (name == "mse") return Calibrator::kMse;
  return Err(InvalidArgumentError("no calibrator \"" + std::string(name) +
                                  "\"; there are minmax, percentile, entropy and mse"));
}

ValueRange ChooseRange(const Histogram& histogram, Calibrator calibrator, double percentile) {
  if (histogram.total() == 0) return {};
  const ValueRange seen = Seen(histogram);
  if (calibrator == Calibrator::kMinMax || seen.low == seen.high) return seen;
  if (calibrator == Calibrator::kPercentile) return Percentile(histogram, percentile);
  ValueRange best = seen;
  double least = std::numeric_limits<double>::infinity();
  for (int step = 0; step < kSteps; ++step) {
    const auto part = static_cast<float>(1 - step * kStepSize);
    const ValueRange range{.low = seen.low * part, .high = seen.high * part};
    const double cost = calibrator == Calibrator::kMse ? SquaredError(histogram, range)
                                                       : Divergence(histogram, range);
    if (cost < least) {
      least = cost;
      best = range;
    }
  }
  return best;
}

AffineScale ScaleOf(const ValueRange& range) {
  const float scale = (range.high - range.low) / (kLevels - 1);
  if (!(scale > std::numeric_limits<float>::min())) return {};
  const float zero = std::round(-range.low / scale);
  return {.scale = scale, .zero_point = static_cast<std::uint8_t>(std::clamp(zero, 0.0F, 255.0F))};
}

}  // namespace selvedge
