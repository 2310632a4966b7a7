#pragma once

// SSD head with anchors (Liu et al. 2016, "SSD: Single Shot MultiBox Detector").
//
// Outputs: boxes [.., A, .., 4] holding ty, tx, th, tw per anchor; scores [.., A, K + background].
// A box is
//   cy = ty / s0 * ha + ya,  cx = tx / s1 * wa + xa,  h = exp(th / s2) * ha,  w = exp(tw / s3) * wa
// with anchor centre (xa, ya) and size (wa, ha) in parts of the input (SSD, equation 2, solved for
// the box; s is the card's box_scale). Every class above the threshold gives a candidate of its
// own. Thread rules and failure as vision/decoder.h.

#include <memory>
#include <span>
#include <vector>

#include "vision/decoder.h"

namespace selvedge {

// Parts of the input's width and height, 0..1.
struct Anchor {
  float cx = 0;
  float cy = 0;
  float width = 0;
  float height = 0;
};

// In the order of the TensorFlow Object Detection API's multiple_grid_anchor_generator: by map,
// row, column, then shape. With m maps, s_k = min + (max - min) (k - 1) / (m - 1) (SSD, equation 4)
// and s_(m+1) = 1; a ratio r gives w = s_k sqrt(r), h = s_k / sqrt(r); the extra shape has scale
// sqrt(s_k s_(k+1)).
std::vector<Anchor> MakeSsdAnchors(const SsdAnchors& anchors);

Result<std::unique_ptr<Decoder>> MakeSsdDecoder(const ModelCard& card,
                                                std::span<const TensorSpec> outputs);

}  // namespace selvedge
