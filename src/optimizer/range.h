#pragma once

// Calibrators: which range of a value eight bits should stand for, given its histogram.
//
// Every range contains 0, which is then represented exactly (zero padding must not become
// something else): Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
// Integer-Arithmetic-Only Inference", section 2.1. Pure functions.

#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "optimizer/observer.h"

namespace selvedge {

enum class Calibrator {
  kMinMax,      // all that was seen
  kPercentile,  // but for the outermost 1 - percentile / 100 at each end (Wu et al. 2020, "Integer
                // Quantization for Deep Learning Inference", section 4)
  kEntropy,     // least Kullback-Leibler divergence of the quantised distribution from the one seen
                // (Migacz 2017, "8-bit Inference with TensorRT")
  kMse,         // least expected squared error (Nagel et al. 2021, "A White Paper on Neural Network
                // Quantization", section 3.1, equation 12)
};
// "minmax", "percentile", "entropy", "mse"; InvalidArgument for anything else.
Result<Calibrator> CalibratorNamed(std::string_view name);

struct ValueRange {
  float low = 0;   // <= 0
  float high = 0;  // >= 0
};

// {0, 0} for a histogram of nothing. `percentile` is in percent, 50 to 100.
ValueRange ChooseRange(const Histogram& histogram, Calibrator calibrator,
                       double percentile = 99.99);

// real = scale * (q - zero_point), q in 0..255.
struct AffineScale {
  float scale = 1;
  std::uint8_t zero_point = 0;
};
AffineScale ScaleOf(const ValueRange& range);

}  // namespace selvedge
