#pragma once

// INT8: a float graph becomes one with QuantizeLinear and DequantizeLinear (QDQ) around what is to
// be computed in integers.
//
//   sites = FindSites(model); Calibrate(..., ValuesToObserve(sites), ...); Quantize(calibration,
//   options, &model)
//
// A site is a Conv, a Gemm or an Add. Weights: int8, symmetric, one scale per output channel, kept
// as integers behind a DequantizeLinear. Activations: uint8 with a zero point, one scale per value.
// Biases: int32 with the scale of the product. Every reader of a site's result reads the
// dequantised value, so that nothing stands between Conv and QuantizeLinear: ONNX Runtime and
// OpenVINO fuse only that. A Clip or Relu between them goes, because the range of the eight bits
// lies within its bounds and saturates there.
//
// Needs opset 13 (per-channel DequantizeLinear). Pure but for the model; deterministic.

#include <onnx/onnx-ml.pb.h>

#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "optimizer/calibrate.h"
#include "optimizer/range.h"

namespace selvedge {

struct QuantizationSite {
  int node = -1;
  int clip = -1;                    // the Clip or Relu that only this site feeds, or -1
  std::string name;                 // of the node's own result: what `keep_float` is given
  std::vector<std::string> inputs;  // activations
  std::string output;               // after the Clip
  bool has_weights = false;
};
// In the graph's order, an Add only where both of its inputs are results of sites. Sites named in
// `keep_float` are left out.
std::vector<QuantizationSite> FindSites(const onnx::ModelProto& model,
                                        const std::set<std::string>& keep_float);
// Activations that the sites read and make, each once.
std::vector<std::string> ValuesToObserve(const std::vector<QuantizationSite>& sites);

// Sites with weights that usually stay float, because they cost little time and much accuracy: the
// first three (stem and first block: Wu et al. 2020, "Integer Quantization for Deep Learning
// Inference", section 5.2, keep the first layer) and those whose results reach an output through
// nothing that computes (Transpose, Reshape, Concat and the like).
std::set<std::string> UsuallyFloat(const onnx::ModelProto& model);

struct QuantizeOptions {
  Calibrator calibrator = Calibrator::kMse;
  double percentile = 99.99;
  // Weights of 7 bits: without VNNI, x86 adds pairs of u8 x s8 products in 16 bits, which 8-bit
  // weights saturate (Intel's vpmaddubsw; ONNX Runtime's and OpenVINO's `reduce_range`).
  bool reduce_range = false;
  // Adds the mean error that rounding the weights makes, sum over inputs of (w - w_q) E[x], to the
  // bias (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
  // Correction", section 4.2). At zero padding it is an approximation.
  bool correct_bias = true;
  std::set<std::string> keep_float;
};

struct QuantizeReport {
  int sites = 0;
  int with_weights = 0;
  int clips_removed = 0;
};
// FailedPrecondition below opset 13; InvalidArgument where the calibration lacks a value.
Result<QuantizeReport> Quantize(const Calibration& calibration, const QuantizeOptions& options,
                                onnx::ModelProto* model);

// One weight tensor [channels, ...] in int8.
struct QuantizedWeights {
  std::vector<float> scales;        // per channel
  std::vector<std::int8_t> values;  // row-major, as the weights
  std::vector<double> bias_error;   // per channel: sum of (w - w_q) E[x]
};
// `input_means`: E[x] of the input channel that each weight of a channel multiplies is
// input_means[first + k / taps], with `taps` weights per input channel. `least_scales`: per
// channel, what its bias needs. Each channel's scale is the one of 20 between 0.8 and 1 of the
// largest weight's that gives the least squared error.
struct WeightContext {
  std::size_t channels = 0;
  std::size_t groups = 1;
  std::size_t taps = 1;
  std::vector<double> input_means;  // may be empty
  std::vector<float> least_scales;  // may be empty
  int largest = 127;                // 63 with reduce_range
};
QuantizedWeights QuantizeWeights(std::span<const float> weights, const WeightContext& context);

}  // namespace selvedge
