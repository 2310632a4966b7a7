#include "vision/decoder_output.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "vision/nms.h"

namespace selvedge {
namespace {

std::string NamesOf(std::span<const TensorSpec> specs) {
  std::string names;
  for (const TensorSpec& spec : specs) {
    if (!names.empty()) names += ", ";
    names += spec.ToString();
  }
  return names.empty() ? "none" : names;
}

// IEEE 754 binary16 to binary32.
float FromHalf(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1FU;
  const std::uint32_t fraction = half & 0x3FFU;
  std::uint32_t bits = 0;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    std::memcpy(&bits, &magnitude, sizeof(bits));
  } else if (exponent == 0x1F) {
    bits = 0x7F800000U | (fraction << 13);
  } else {
    bits = ((exponent + 112) << 23) | (fraction << 13);
  }
  bits |= sign;
  float value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

float FromBfloat(std::uint16_t half) {
  const std::uint32_t bits = static_cast<std::uint32_t>(half) << 16;
  float value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

template <typename T>
void Dequantise(std::span<const T> in, const TensorSpec& spec, float* out) {
  const float scale = spec.scale > 0 ? spec.scale : 1.0F;
  const float zero = spec.scale > 0 ? static_cast<float>(spec.zero_point) : 0.0F;
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = (static_cast<float>(in[i]) - zero) * scale;
}

void ToFloats(const TensorView& view, const TensorSpec& spec, float* out) {
  switch (view.type) {
    case DataType::kFloat16:
      std::ranges::transform(view.As<const std::uint16_t>(), out, FromHalf);
      return;
    case DataType::kBfloat16:
      std::ranges::transform(view.As<const std::uint16_t>(), out, FromBfloat);
      return;
    case DataType::kUint8: return Dequantise(view.As<const std::uint8_t>(), spec, out);
    case DataType::kInt8: return Dequantise(view.As<const std::int8_t>(), spec, out);
    case DataType::kInt32: return Dequantise(view.As<const std::int32_t>(), spec, out);
    case DataType::kInt64: return Dequantise(view.As<const std::int64_t>(), spec, out);
    case DataType::kFloat32:
    case DataType::kBool: return;
  }
}

}  // namespace

std::int64_t OutputReader::LastDimension(const Shape& shape) {
  return shape.rank() == 0 ? 0 : shape[shape.rank() - 1];
}

std::int64_t OutputReader::LeadingProduct(const Shape& shape) {
  std::int64_t product = 1;
  for (std::size_t i = 0; i + 1 < shape.rank(); ++i) {
    if (shape[i] < 0 || __builtin_mul_overflow(product, shape[i], &product)) return -1;
  }
  return product;
}

Result<OutputReader> OutputReader::Create(std::span<const TensorSpec> outputs,
                                          const std::string& name, std::string key) {
  const auto found = name.empty() && outputs.size() == 1
                         ? outputs.begin()
                         : std::ranges::find(outputs, name, &TensorSpec::name);
  if (name.empty() && outputs.size() != 1) {
    return Err(InvalidArgumentError("the card's " + key + " is empty and the model has " +
                                    std::to_string(outputs.size()) +
                                    " outputs; set it to one of: " + NamesOf(outputs)));
  }
  if (found == outputs.end()) {
    return Err(NotFoundError("the card's " + key + " is \"" + name +
                             "\", but the model has no such output; it has: " + NamesOf(outputs)));
  }
  OutputReader reader;
  reader.spec_ = *found;
  reader.key_ = std::move(key);
  reader.index_ = static_cast<std::size_t>(found - outputs.begin());
  if (found->type == DataType::kBool) return Err(reader.Mismatch("numbers"));
  if (found->shape.rank() == 0) return Err(reader.Mismatch("at least one dimension"));
  if (found->type != DataType::kFloat32) {
    if (const auto count = found->shape.ElementCount(); count && *count < (1 << 26)) {
      reader.converted_.reserve(static_cast<std::size_t>(*count));
    }
  }
  return reader;
}

Status OutputReader::Mismatch(const std::string& wanted) const {
  return InvalidArgumentError("the card's " + key_ + " needs " + wanted +
                              ", but the model's output is " + spec_.ToString());
}

Status OutputReader::Read(std::span<const TensorView> outputs, Rows* rows) {
  if (index_ >= outputs.size()) {
    return InvalidArgumentError("output " + spec_.name + " is missing from the engine's result");
  }
  const TensorView& view = outputs[index_];
  const auto count = view.shape.ElementCount();
  const std::int64_t columns = LastDimension(view.shape);
  if (view.type != spec_.type || !spec_.shape.Matches(view.shape) || !count ||
      static_cast<std::uint64_t>(*count) > view.bytes / SizeOf(view.type) ||
      (*count > 0 && view.data == nullptr)) {
    return InvalidArgumentError("output " + spec_.ToString() + " came as " +
                                std::string(DataTypeName(view.type)) + view.shape.ToString() +
                                " of " + std::to_string(view.bytes) + " bytes");
  }
  const auto size = static_cast<std::size_t>(*count);
  if (view.type == DataType::kFloat32) {
    rows->values = {static_cast<const float*>(view.data), size};
  } else {
    converted_.resize(size);
    TensorView exact = view;
    exact.bytes = size * SizeOf(view.type);
    ToFloats(exact, spec_, converted_.data());
    rows->values = converted_;
  }
  rows->columns = columns;
  rows->rows = columns > 0 ? *count / columns : 0;
  return OkStatus();
}

float Sigmoid(float x) {
  return 1.0F / (1.0F + std::exp(-x));
}

double Logit(double p) {
  if (p <= 0) return -std::numeric_limits<double>::infinity();
  if (p >= 1) return std::numeric_limits<double>::infinity();
  return std::log(p / (1 - p));
}

ScoreRule::ScoreRule(Activation activation, double temperature, double threshold)
    : activation_(activation),
      temperature_(static_cast<float>(temperature)),
      threshold_(static_cast<float>(threshold)) {
  const double logit = Logit(threshold) * temperature;
  if (activation == Activation::kSigmoid) {
    raw_threshold_ = static_cast<float>(logit);
  } else if (temperature == 1.0) {
    raw_threshold_ = threshold_;
  } else {
    raw_threshold_ = static_cast<float>(1 / (1 + std::exp(-logit)));
  }
}

Result<ScoreRule> ScoreRule::FromCard(const ModelCard& card) {
  if (!(card.temperature > 0) || !std::isfinite(card.temperature)) {
    return Err(InvalidArgumentError("the card's temperature must be above 0"));
  }
  const std::string& name = card.decoder.activation;
  for (const auto& [word, activation] :
       {std::pair{"sigmoid", Activation::kSigmoid}, std::pair{"softmax", Activation::kSoftmax},
        std::pair{"none", Activation::kNone}}) {
    if (name == word) return ScoreRule(activation, card.temperature, card.decoder.score_threshold);
  }
  return Err(InvalidArgumentError("the card's decoder.activation is \"" + name +
                                  "\"; it must be sigmoid, softmax or none"));
}

float ScoreRule::Score(float raw) const {
  if (activation_ == Activation::kSigmoid) return Sigmoid(raw / temperature_);
  const float p = std::clamp(raw, 0.0F, 1.0F);
  if (temperature_ == 1.0F) return p;
  return Sigmoid(static_cast<float>(Logit(p)) / temperature_);
}

BoxCollector::BoxCollector(const ModelDecoder& decoder, std::size_t expected)
    : capacity_(std::min(expected == 0 ? kCapacity : expected, kCapacity)),
      nms_iou_(decoder.nms_iou),
      max_detections_(std::max(decoder.max_detections, 0)) {
  candidates_.reserve(2 * capacity_);
}

void BoxCollector::Clear() {
  candidates_.clear();
  floor_ = 0;
}

void BoxCollector::Add(const Box& box, float score, std::int32_t class_id) {
  const auto near = [](float v) { return std::abs(v) <= kFarthest; };  // false for NaN
  if (!near(box.x1) || !near(box.y1) || !near(box.x2) || !near(box.y2)) return;
  if (!(box.x2 > box.x1) || !(box.y2 > box.y1) || !Admits(score)) return;
  candidates_.push_back({box, std::min(score, 1.0F), class_id, -1});
  if (candidates_.size() < 2 * capacity_) return;
  // Full: the better half stays, and sets the bar for what follows. Linear on average, over all
  // frames.
  const auto middle = candidates_.begin() + static_cast<std::ptrdiff_t>(capacity_);
  std::nth_element(candidates_.begin(), middle - 1, candidates_.end(),
                   [](const Detection& a, const Detection& b) { return a.score > b.score; });
  floor_ = (middle - 1)->score;
  candidates_.erase(middle, candidates_.end());
}

void BoxCollector::Finish(const ImageTransform& transform, Detections* out) {
  SuppressNonMaxima(nms_iou_, max_detections_, &candidates_);
  out->clear();
  out->reserve(std::min(static_cast<std::size_t>(max_detections_), 2 * capacity_));
  for (const Detection& candidate : candidates_) {
    const Box box = transform.ToSource(candidate.box);
    if (!(box.x2 > box.x1) || !(box.y2 > box.y1)) continue;
    out->push_back({box, candidate.score, candidate.class_id, -1});
  }
}

Status CheckLabels(const ModelCard& card, std::int64_t classes, const OutputReader& output) {
  if (FitsLabels(card.labels.size(), classes)) return OkStatus();
  return InvalidArgumentError(
      "the card lists " + std::to_string(card.labels.size()) + " labels, but the model's output " +
      output.spec().ToString() + " has " + std::to_string(classes) + " classes" +
      (card.decoder.background_classes > 0
           ? " beside " + std::to_string(card.decoder.background_classes) + " of background"
           : "") +
      "; correct labels or decoder.background_classes");
}

}  // namespace selvedge
