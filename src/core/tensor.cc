#include "core/tensor.h"

#include <algorithm>
#include <cassert>

namespace selvedge {

std::size_t SizeOf(DataType type) {
  switch (type) {
    case DataType::kInt64: return 8;
    case DataType::kFloat32:
    case DataType::kInt32: return 4;
    case DataType::kFloat16:
    case DataType::kBfloat16: return 2;
    case DataType::kUint8:
    case DataType::kInt8:
    case DataType::kBool: return 1;
  }
  return 1;
}

std::string_view DataTypeName(DataType type) {
  switch (type) {
    case DataType::kFloat32: return "float32";
    case DataType::kFloat16: return "float16";
    case DataType::kBfloat16: return "bfloat16";
    case DataType::kUint8: return "uint8";
    case DataType::kInt8: return "int8";
    case DataType::kInt32: return "int32";
    case DataType::kInt64: return "int64";
    case DataType::kBool: return "bool";
  }
  return "unknown";
}

Shape::Shape(std::initializer_list<std::int64_t> dims) : rank_(dims.size()) {
  assert(dims.size() <= kMaxRank);
  std::copy(dims.begin(), dims.end(), dims_);
}

Result<Shape> Shape::From(std::span<const std::int64_t> dims) {
  if (dims.size() > kMaxRank) {
    return Err(InvalidArgumentError("a tensor of rank " + std::to_string(dims.size()) +
                                    " is not supported; at most " + std::to_string(kMaxRank)));
  }
  Shape shape;
  shape.rank_ = dims.size();
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] < -1) return Err(InvalidArgumentError("negative dimension in a tensor shape"));
    shape.dims_[i] = dims[i];
  }
  return shape;
}

bool Shape::IsFixed() const {
  return std::ranges::all_of(dims(), [](std::int64_t d) { return d >= 0; });
}

std::optional<std::int64_t> Shape::ElementCount() const {
  std::int64_t count = 1;
  for (std::int64_t d : dims()) {
    if (d < 0 || __builtin_mul_overflow(count, d, &count)) return std::nullopt;
  }
  return count;
}

bool Shape::Matches(const Shape& other) const {
  if (rank_ != other.rank_) return false;
  for (std::size_t i = 0; i < rank_; ++i) {
    if (dims_[i] >= 0 && other.dims_[i] >= 0 && dims_[i] != other.dims_[i]) return false;
  }
  return true;
}

bool Shape::operator==(const Shape& other) const {
  return std::ranges::equal(dims(), other.dims());
}

std::string Shape::ToString() const {
  std::string text = "[";
  for (std::size_t i = 0; i < rank_; ++i) {
    if (i > 0) text += ',';
    text += dims_[i] < 0 ? "?" : std::to_string(dims_[i]);
  }
  return text + ']';
}

std::string TensorSpec::ToString() const {
  return name + ' ' + std::string(DataTypeName(type)) + ' ' + shape.ToString();
}

}  // namespace selvedge
