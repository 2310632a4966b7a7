#pragma once

// YOLO heads as the v5 and the v8/v11 families export them.
//
//   v5      [1, N, 5 + K] = cx, cy, w, h, objectness, K class scores; score = objectness * class
//   score v8, v11 [1, 4 + K, N] = cx, cy, w, h, K class scores, one column per box
//
// Boxes in model pixels. Each box stands for its best class. Activation "none" where the export
// ends in probabilities (it does by default), "sigmoid" where it ends in logits. With the v5 head
// temperature acts on the logit of the product. Thread rules and failure as vision/decoder.h.

#include <memory>
#include <span>

#include "vision/decoder.h"

namespace selvedge {

Result<std::unique_ptr<Decoder>> MakeYoloV5Decoder(const ModelCard& card,
                                                   std::span<const TensorSpec> outputs);
Result<std::unique_ptr<Decoder>> MakeYoloV8Decoder(const ModelCard& card,
                                                   std::span<const TensorSpec> outputs);

}  // namespace selvedge
