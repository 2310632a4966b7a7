#pragma once

// What every engine checks before it hands a model to its library. Pure functions.

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "engine/engine.h"

namespace selvedge {

// InvalidArgument for an empty model, for one of 2 GiB or more (no format here goes further), and for
// thread or caller counts outside 1..256.
Status CheckOptions(std::span<const std::byte> model, const EngineOptions& options);

// Puts `options.input_shapes` into `inputs`. InvalidArgument where their number, or a fixed dimension of the
// model, disagrees, and where an input's shape is still not fixed afterwards.
Status FixInputShapes(const EngineOptions& options, std::vector<TensorSpec>* inputs);

// Whether `path` ends in `ending`, whatever the case.
bool HasExtension(std::string_view path, std::string_view ending);

}  // namespace selvedge
