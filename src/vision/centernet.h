#pragma once

// CenterNet with decoding inside the model (Zhou et al. 2019, "Objects as Points"), and any other
// model that ends in finished boxes: output [.., N, 6] = x1, y1, x2, y2, score, class, boxes in
// model pixels. The class counts from the first that is not background. Thread rules and failure as
// vision/decoder.h.

#include <memory>
#include <span>

#include "vision/decoder.h"

namespace selvedge {

Result<std::unique_ptr<Decoder>> MakeCenterNetDecoder(const ModelCard& card,
                                                      std::span<const TensorSpec> outputs);

}  // namespace selvedge
