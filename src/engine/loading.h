#pragma once

// What every engine does around loading: checks before it hands a model to its library, and tidying
// after.

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "engine/engine.h"

namespace selvedge {

// InvalidArgument for an empty model, for one of 2 GiB or more (no format here goes further), and
// for thread or caller counts outside 1..256.
Status CheckOptions(std::span<const std::byte> model, const EngineOptions& options);

// Puts `options.input_shapes` into `inputs`. InvalidArgument where their number, or a fixed
// dimension of the model, disagrees, and where an input's shape is still not fixed afterwards.
Status FixInputShapes(const EngineOptions& options, std::vector<TensorSpec>* inputs);

// Gives the memory that loading needed and freed back to the system: the allocator would keep it,
// some 20 MiB for a model of 12. Call it once the engine has dropped its intermediate copies.
void ReturnFreedMemory();

// Whether `path` ends in `ending`, whatever the case.
bool HasExtension(std::string_view path, std::string_view ending);

}  // namespace selvedge
