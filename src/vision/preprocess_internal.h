#pragma once

// What preprocess.cc shares with its neighbours in vision/ (model_check, annotate, tests).
// Stateless.

#include "base/status.h"
#include "core/frame.h"
#include "core/model_card.h"
#include "core/tensor.h"
#include "vision/preprocess.h"

namespace selvedge {

// Where the picture lies in the model's input, in model pixels; the rest is padding.
struct Placement {
  int x = 0;
  int y = 0;
  int width = 0;
  int height = 0;
};

// The letterbox's picture has sides rounded to whole pixels and stands in the centre (the spare
// pixel of an odd margin goes to the right or the bottom); squash fills everything. Sides are 1 to
// kMaxSide.
ImageTransform MakeTransform(ResizeMode resize, int source_width, int source_height,
                             int input_width, int input_height, Placement* placement);

// Whether pictures for this tensor go through its scale and zero point.
bool IsQuantised(const TensorSpec& tensor);

// InvalidArgument where the view cannot be a picture: sides, planes, strides.
Status CheckImage(const ImageView& image);

}  // namespace selvedge
