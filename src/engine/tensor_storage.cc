#include "engine/tensor_storage.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

namespace selvedge {

Result<std::size_t> TensorBytes(const TensorSpec& spec) {
  if (!spec.shape.IsFixed()) {
    return Err(InvalidArgumentError("tensor \"" + spec.name + "\" has the shape " +
                                    spec.shape.ToString() +
                                    ", which is not fixed; give the engine its shape"));
  }
  const std::optional<std::int64_t> count = spec.shape.ElementCount();
  const std::size_t limit = kMaxTensorBytes / SizeOf(spec.type);
  if (!count || static_cast<std::uint64_t>(*count) > limit) {
    return Err(ResourceExhaustedError("tensor \"" + spec.name + "\" of shape " +
                                      spec.shape.ToString() + " is larger than 1 GiB"));
  }
  return static_cast<std::size_t>(*count) * SizeOf(spec.type);
}

void TensorStorage::Free::operator()(void* memory) const {
  std::free(memory);
}

Result<TensorView> TensorStorage::Add(const TensorSpec& spec) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::size_t bytes, TensorBytes(spec));
  // aligned_alloc wants a multiple of the alignment; an empty tensor gets an address too.
  const std::size_t rounded =
      std::max((bytes + kTensorAlignment - 1) / kTensorAlignment, std::size_t{1}) *
      kTensorAlignment;
  void* memory = std::aligned_alloc(kTensorAlignment, rounded);
  if (memory == nullptr) {
    return Err(ResourceExhaustedError("no memory for tensor \"" + spec.name + "\" of shape " +
                                      spec.shape.ToString()));
  }
  std::memset(memory, 0, rounded);
  blocks_.emplace_back(memory);
  return TensorView{.type = spec.type, .shape = spec.shape, .data = memory, .bytes = bytes};
}

}  // namespace selvedge
