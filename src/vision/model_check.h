#pragma once

// Does the card describe this model? Asked once, when a pipeline opens, so that a wrong card ends
// in one sentence instead of in wrong boxes. Stateless, thread-safe.

#include <cstddef>
#include <span>

#include "base/status.h"
#include "core/model_card.h"
#include "core/tensor.h"

namespace selvedge {

// Index of the input that pictures go to: the one named by card.input.name, or the only one.
// NotFound lists the names that there are.
Result<std::size_t> FindImageInput(const ModelCard& card, std::span<const TensorSpec> inputs);

// InvalidArgument where `tensor` cannot take pictures as `input` describes them: rank, layout,
// channels, width, height, type, or a normalisation that is not finite.
Status CheckImageInput(const ModelInput& input, const TensorSpec& tensor);

// InvalidArgument (NotFound for a name) with a sentence that says what the card says, what the
// model has, and which key of the card to change: input name, rank, layout, channels, width, height
// and type; output names, shapes and types; number of anchors; number of classes against the
// labels. Dimensions that the model does not fix agree with anything.
Status CheckCardAgainstModel(const ModelCard& card, std::span<const TensorSpec> inputs,
                             std::span<const TensorSpec> outputs);

}  // namespace selvedge
