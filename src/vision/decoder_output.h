#pragma once

// What every decoder needs: reading output tensors as floats, scoring, and collecting boxes.
//
// Internal to vision/. Each object belongs to one decoder and is as thread-safe as that: not.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "core/detection.h"
#include "core/model_card.h"
#include "core/tensor.h"
#include "vision/preprocess.h"

namespace selvedge {

// A tensor seen as rows of equal length. The last dimension is the row; all before it are rows.
struct Rows {
  std::span<const float> values;  // row-major
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

// One of the model's outputs, as floats whatever its type (float32 without a copy; float16,
// bfloat16 and integers are converted, integers through their quantisation).
class OutputReader {
 public:
  // The output called `name`; where `name` is empty, the only output. `key` is the card's key in
  // messages
  // ("decoder.boxes"). NotFound lists the names there are; InvalidArgument for a type that holds no
  // numbers.
  static Result<OutputReader> Create(std::span<const TensorSpec> outputs, const std::string& name,
                                     std::string key);

  const TensorSpec& spec() const { return spec_; }
  const std::string& key() const { return key_; }
  // Last dimension; -1 where not fixed. 0 for a scalar.
  std::int64_t Columns() const { return LastDimension(spec_.shape); }
  // Product of the others; -1 where one is not fixed.
  std::int64_t RowCount() const { return LeadingProduct(spec_.shape); }
  // InvalidArgument saying that the card's decoder wants `wanted` and the model has something else.
  Status Mismatch(const std::string& wanted) const;

  // This frame's values, valid until the next Read. InvalidArgument where type, columns or bytes
  // are not as promised. Allocates only where a tensor that needs conversion has grown.
  Status Read(std::span<const TensorView> outputs, Rows* rows);

  static std::int64_t LastDimension(const Shape& shape);
  static std::int64_t LeadingProduct(const Shape& shape);

 private:
  TensorSpec spec_;
  std::string key_;
  std::size_t index_ = 0;
  std::vector<float> converted_;
};

// Raw model value -> calibrated score; decoder.h says how temperature acts.
class ScoreRule {
 public:
  enum class Activation { kSigmoid, kSoftmax, kNone };
  // `temperature` above 0, `threshold` any number.
  ScoreRule(Activation activation, double temperature, double threshold);
  static Result<ScoreRule> FromCard(const ModelCard& card);

  Activation activation() const { return activation_; }
  float temperature() const { return temperature_; }
  float threshold() const { return threshold_; }
  // Of a raw value (sigmoid: a logit; none: a probability), 0..1. Not for softmax.
  float Score(float raw) const;
  // Score(raw) >= threshold() where raw >= this, up to rounding; so that most values need no exp.
  float raw_threshold() const { return raw_threshold_; }

 private:
  Activation activation_;
  float temperature_;
  float threshold_;
  float raw_threshold_;
};

// float32 logistic function and its inverse (infinite at 0 and 1).
float Sigmoid(float x);
double Logit(double p);

// Boxes in model pixels on their way to Detections: bad ones dropped, the best kCapacity kept,
// suppressed, carried to source pixels. Allocates in the constructor and at the first Finish only.
class BoxCollector {
 public:
  // More candidates than this do not reach NMS: enough for any scene, and a bound on what a broken
  // model costs.
  static constexpr std::size_t kCapacity = 4096;
  static constexpr float kFarthest = 1e6F;  // model pixels

  // `expected`: the most candidates there can be, 0 where not known.
  BoxCollector(const ModelDecoder& decoder, std::size_t expected);

  void Clear();
  // False where a candidate of this score could not be among the best any more.
  bool Admits(float score) const { return score >= floor_; }
  void Add(const Box& model_pixels, float score, std::int32_t class_id);
  void Finish(const ImageTransform& transform, Detections* out);

 private:
  Detections candidates_;
  std::size_t capacity_;
  float nms_iou_;
  int max_detections_;
  float floor_ = 0;
};

// False where the card has labels, and not `classes` of them: for every frame, as a model need not
// fix the dimension.
inline bool FitsLabels(std::size_t labels, std::int64_t classes) {
  return labels == 0 || static_cast<std::int64_t>(labels) == classes;
}
// The same as a sentence, for when the decoder is made.
Status CheckLabels(const ModelCard& card, std::int64_t classes, const OutputReader& output);

}  // namespace selvedge
