#pragma once

// Preprocessor: a captured picture becomes the model's input tensor, in one pass.
//
// Colour conversion, resize, normalisation, layout and type conversion are fused row by row: no
// picture of the source's or the model's size is held in between. Sampling is bilinear with
// half-pixel centres,
//   source = (model + 0.5) * source_size / model_size - 0.5, clamped to the edge,
// the positions that OpenCV's INTER_LINEAR and TensorFlow's half_pixel_centers use. The result is
// what converting the whole picture to R'G'B' (each chroma sample standing for its 2x2 pixels, as
// OpenCV does) and then resizing it would give, without the rounding to 8 bits in between: Y'CbCr
// is sampled first and converted after, and as both are linear their order matters only where
// R'G'B' clips.
//
// One per worker; not thread-safe. Run allocates only when width, height or format of the source
// differ from the last call's. Failure: Create refuses a card that contradicts the tensor; Run
// refuses pixels that cannot be right (no planes, strides shorter than a row, more than kMaxSide
// pixels a side) and a tensor of another size than Create was told, and leaves the tensor as it
// was.

#include <cstdint>
#include <memory>

#include "base/status.h"
#include "core/detection.h"
#include "core/frame.h"
#include "core/model_card.h"
#include "core/tensor.h"

namespace selvedge {

namespace kernels {
struct RowKernels;
}

// How the model's pixels lie on the source picture, per axis:
//   source = (model_pixel - offset) * scale
struct ImageTransform {
  float scale_x = 1;
  float scale_y = 1;
  float offset_x = 0;  // model pixels: the letterbox's left margin
  float offset_y = 0;
  int source_width = 0;  // pixels
  int source_height = 0;
  int input_width = 0;  // pixels
  int input_height = 0;

  // A box in model pixels as one in source pixels, clipped to the picture; empty where it lies
  // outside.
  Box ToSource(const Box& model_pixels) const;
};

class Preprocessor {
 public:
  static constexpr int kMaxSide = 16384;  // pixels, of the source and of the model

  // `tensor` describes the model's image input: rank 4, batch 1 (or not fixed), 3 channels where
  // `input.layout` says. Types: float32, float16, bfloat16 take (pixel - mean) / std; uint8, int8
  // and int32 take the same, put through the tensor's quantisation where it has one, rounded and
  // saturated.
  static Result<Preprocessor> Create(const ModelInput& input, const TensorSpec& tensor);

  // The same with a given instruction set (vision/preprocess_kernels.h), for tests and benchmarks.
  static Result<Preprocessor> CreateWith(const ModelInput& input, const TensorSpec& tensor,
                                         const kernels::RowKernels& kernels);

  Preprocessor(Preprocessor&&) noexcept;
  Preprocessor& operator=(Preprocessor&&) noexcept;
  ~Preprocessor();

  // Writes every element of `tensor` (which must hold the bytes that Create's spec implies) and
  // *transform.
  Status Run(const ImageView& image, const TensorView& tensor, ImageTransform* transform);

 private:
  struct State;
  explicit Preprocessor(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace selvedge
