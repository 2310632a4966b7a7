#pragma once

// Classification: one score per class for the whole picture.
//
// Output of any shape whose elements are the classes ([1, K], [K], [1, K, 1, 1]), leading
// background columns skipped. The top_k classes whose score reaches the threshold become detections
// with the picture as their box, best first. Temperature: logits are divided by it before softmax
// or sigmoid; probabilities p (activation "none") become p^(1/T) / sum p^(1/T), which is the same
// softmax. Thread rules and failure as vision/decoder.h.

#include <memory>
#include <span>

#include "vision/decoder.h"

namespace selvedge {

Result<std::unique_ptr<Decoder>> MakeClassificationDecoder(const ModelCard& card,
                                                           std::span<const TensorSpec> outputs);

}  // namespace selvedge
