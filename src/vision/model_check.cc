#include "vision/model_check.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "vision/decoder.h"
#include "vision/preprocess.h"
#include "vision/preprocess_internal.h"

namespace selvedge {
namespace {

std::string Quoted(const std::string& text) {
  return "\"" + text + "\"";
}

Status CheckNumbers(const ModelInput& input) {
  if (input.width < 1 || input.height < 1 || input.width > Preprocessor::kMaxSide ||
      input.height > Preprocessor::kMaxSide) {
    return InvalidArgumentError("the card's input is " + std::to_string(input.width) + "x" +
                                std::to_string(input.height) +
                                "; input.width and input.height must be 1 to " +
                                std::to_string(Preprocessor::kMaxSide) + " pixels");
  }
  for (int c = 0; c < 3; ++c) {
    if (!std::isfinite(input.mean[c]) || !std::isfinite(1.0F / input.std[c])) {
      return InvalidArgumentError(
          "the card's input.mean must be finite, and input.std finite and not 0");
    }
  }
  if (input.pad < 0 || input.pad > 255) {
    return InvalidArgumentError("the card's input.pad must be 0 to 255");
  }
  return OkStatus();
}

// Whether the normalised values of every pixel are numbers that can be computed with.
Status CheckRange(const ModelInput& input, const TensorSpec& tensor) {
  const double scale = IsQuantised(tensor) ? static_cast<double>(tensor.scale) : 1.0;
  for (int c = 0; c < 3; ++c) {
    const double farthest = 255.0 + std::abs(static_cast<double>(input.mean[c]));
    if (farthest / std::abs(input.std[c] * scale) < 1e30) continue;
    return InvalidArgumentError("the card's input.mean and input.std make values for the input " +
                                tensor.ToString() + " that no float32 holds");
  }
  return OkStatus();
}

Status CheckType(const TensorSpec& tensor) {
  switch (tensor.type) {
    case DataType::kFloat32:
    case DataType::kFloat16:
    case DataType::kBfloat16:
    case DataType::kUint8:
    case DataType::kInt8:
    case DataType::kInt32: break;
    case DataType::kInt64:
    case DataType::kBool:
      return InvalidArgumentError("the model's input " + tensor.ToString() +
                                  " is not of a type that pictures are fed as (float32, float16, "
                                  "bfloat16, uint8, int8, int32)");
  }
  if (tensor.scale < 0 || !std::isfinite(tensor.scale) ||
      (tensor.scale > 0 && !std::isfinite(1.0F / tensor.scale))) {
    return InvalidArgumentError("the model's input " + tensor.ToString() +
                                " has a quantisation scale that is no positive number");
  }
  return OkStatus();
}

}  // namespace

bool IsQuantised(const TensorSpec& tensor) {
  const bool integer = tensor.type == DataType::kUint8 || tensor.type == DataType::kInt8 ||
                       tensor.type == DataType::kInt32;
  return integer && tensor.scale > 0;
}

Status CheckImageInput(const ModelInput& input, const TensorSpec& tensor) {
  SELVEDGE_RETURN_IF_ERROR(CheckNumbers(input));
  SELVEDGE_RETURN_IF_ERROR(CheckType(tensor));
  SELVEDGE_RETURN_IF_ERROR(CheckRange(input, tensor));
  const bool nhwc = input.layout == TensorLayout::kNhwc;
  const Shape wanted =
      nhwc ? Shape{1, input.height, input.width, 3} : Shape{1, 3, input.height, input.width};
  if (tensor.shape.Matches(wanted)) return OkStatus();
  const std::string both = "the card describes a picture " + wanted.ToString() + " (" +
                           (nhwc ? "nhwc" : "nchw") + "), but the model's input is " +
                           tensor.ToString();
  if (tensor.shape.rank() != 4) return InvalidArgumentError(both + ", not of rank 4");
  const Shape other =
      nhwc ? Shape{1, 3, input.height, input.width} : Shape{1, input.height, input.width, 3};
  if (tensor.shape.Matches(other)) {
    return InvalidArgumentError(both + "; set input.layout to " + (nhwc ? "nchw" : "nhwc"));
  }
  const auto differs = [&](std::size_t i) {
    return tensor.shape[i] >= 0 && tensor.shape[i] != wanted[i];
  };
  if (differs(0)) return InvalidArgumentError(both + "; only a batch of 1 is supported");
  if (differs(nhwc ? 3 : 1)) {
    return InvalidArgumentError(both +
                                "; the model must take 3 colour channels where "
                                "input.layout says");
  }
  return InvalidArgumentError(both + "; correct input.width and input.height");
}

Result<std::size_t> FindImageInput(const ModelCard& card, std::span<const TensorSpec> inputs) {
  const std::string& name = card.input.name;
  if (name.empty() && inputs.size() == 1) return 0;
  const auto found = std::ranges::find(inputs, name, &TensorSpec::name);
  if (!name.empty() && found != inputs.end()) {
    return static_cast<std::size_t>(found - inputs.begin());
  }
  std::string names;
  for (const TensorSpec& input : inputs) {
    names += (names.empty() ? "" : ", ") + input.ToString();
  }
  if (names.empty()) names = "none";
  if (name.empty()) {
    return Err(InvalidArgumentError("the card's input.name is empty and the model has " +
                                    std::to_string(inputs.size()) +
                                    " inputs; set it to one of: " + names));
  }
  return Err(NotFoundError("the card's input.name is " + Quoted(name) +
                           ", but the model has no such input; it has: " + names));
}

Status CheckCardAgainstModel(const ModelCard& card, std::span<const TensorSpec> inputs,
                             std::span<const TensorSpec> outputs) {
  // A raw model whose card gives no size is fed by somebody else, and not with pictures.
  if (card.decoder.kind != DecoderKind::kRaw || card.input.width != 0 || card.input.height != 0) {
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::size_t index, FindImageInput(card, inputs));
    SELVEDGE_RETURN_IF_ERROR(CheckImageInput(card.input, inputs[index]));
    if (inputs.size() > 1) {
      const TensorSpec& other = inputs[index == 0 ? 1 : 0];
      return InvalidArgumentError(
          "the model has " + std::to_string(inputs.size()) + " inputs, but a picture fills only " +
          Quoted(inputs[index].name) + "; nothing fills " + Quoted(other.name));
    }
  }
  if (const auto decoder = MakeDecoder(card, outputs); !decoder) return decoder.error();
  return OkStatus();
}

}  // namespace selvedge
