#pragma once

// What of a graph is the same for every input: constants, and shapes.
//
// A shape is static if it follows from the input's sizes: every operator on the way makes its
// output's shape of its inputs' shapes and of constants (a Reshape whose target is constant), not
// of data (NonZero, If). A value is constant if all that its operator reads is, or if it is the
// Shape of a value whose shape is static. By that rule, and not by looking at numbers, what
// `StaticValues` names is the same in every run; one run of an engine then tells what it is.

#include <onnx/onnx-ml.pb.h>

#include <set>
#include <string>

#include "base/status.h"
#include "engine/engine.h"

namespace selvedge {

struct StaticValues {
  std::set<std::string, std::less<>> constants;  // made by nodes; initializers are not repeated
  std::set<std::string, std::less<>> shapes;     // initializers, inputs and the like included
};
StaticValues FindStaticValues(const onnx::ModelProto& model);

// Replaces constant values by initializers; values above 16 MiB stay computed. Returns how many
// nodes became superfluous. Errors: the engine's.
Result<int> FoldConstants(EngineBackend* backend, onnx::ModelProto* model);

// Takes out every Reshape, Flatten, Squeeze and Unsqueeze whose static output shape is that of its
// input. Returns how many. Errors: the engine's.
Result<int> RemoveNeedlessReshapes(EngineBackend* backend, onnx::ModelProto* model);

}  // namespace selvedge
