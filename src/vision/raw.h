#pragma once

// Raw: a model whose outputs are read by somebody else (a sensor model, a benchmark). No
// detections. Never fails.

#include <memory>

#include "vision/decoder.h"

namespace selvedge {

std::unique_ptr<Decoder> MakeRawDecoder();

}  // namespace selvedge
