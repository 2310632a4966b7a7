#pragma once

// TensorStorage: memory for a few tensors, aligned for vector loads, at addresses that never
// change.
//
// Owned by an Execution, thread-compatible. Failure: InvalidArgument for a shape that is not fixed,
// ResourceExhausted for a tensor above kMaxTensorBytes (a corrupt model may ask for anything).

#include <cstddef>
#include <memory>
#include <vector>

#include "base/status.h"
#include "core/tensor.h"

namespace selvedge {

inline constexpr std::size_t kTensorAlignment = 64;
inline constexpr std::size_t kMaxTensorBytes = std::size_t{1} << 30;

// Bytes of a tensor of this type and shape, checked as above; `spec.name` is what the message calls
// it.
Result<std::size_t> TensorBytes(const TensorSpec& spec);

class TensorStorage {
 public:
  // A zeroed tensor of `spec.shape`; its data stays where it is until this is destroyed.
  Result<TensorView> Add(const TensorSpec& spec);

 private:
  struct Free {
    void operator()(void* memory) const;
  };
  std::vector<std::unique_ptr<void, Free>> blocks_;
};

}  // namespace selvedge
