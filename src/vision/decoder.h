#pragma once

// Decoder: a model's raw output tensors become detections in source pixels.
//
// One per worker; not thread-safe (it keeps scratch memory). Decode allocates nothing after the
// first call, unless an output of unfixed shape grows. Boxes that are not finite, farther than a
// million pixels out, or empty once clipped to the picture are dropped, and so are scores that are
// not a number: whatever a model says, the result holds only boxes inside the picture and scores in
// 0..1.
//
// Scores: `activation` makes probabilities of logits. Where the card's temperature T is not 1,
// confidence is calibrated (Guo et al. 2017, "On Calibration of Modern Neural Networks",
// section 4.2): logits are divided by T before the activation; where the model already outputs
// probabilities (activation "none"), their logit ln(p / (1 - p)) is (for classification: ln p, then
// normalised again). `score_threshold` and everything after it (NMS order, rules) see calibrated
// scores. NMS is greedy within each class (vision/nms.h) and keeps at most `max_detections`, sorted
// by falling score.

#include <memory>
#include <span>

#include "base/status.h"
#include "core/detection.h"
#include "core/model_card.h"
#include "core/tensor.h"
#include "vision/preprocess.h"

namespace selvedge {

class Decoder {
 public:
  virtual ~Decoder() = default;

  // `outputs` in the order given to MakeDecoder. *out is cleared first and keeps its memory.
  // InvalidArgument where a tensor has not the shape, type or size that MakeDecoder was told.
  virtual Status Decode(std::span<const TensorView> outputs, const ImageTransform& transform,
                        Detections* out) = 0;
};

// The decoder that card.decoder asks for. InvalidArgument, naming tensor and shape, where the
// model's outputs cannot be what the card says (names, shapes, types, number of anchors, number of
// classes).
Result<std::unique_ptr<Decoder>> MakeDecoder(const ModelCard& card,
                                             std::span<const TensorSpec> outputs);

}  // namespace selvedge
