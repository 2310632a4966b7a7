#pragma once

// Tensors as engines, preprocessing and decoders pass them: a description and a view, no ownership.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace selvedge {

enum class DataType { kFloat32, kFloat16, kBfloat16, kUint8, kInt8, kInt32, kInt64, kBool };

// Bytes of one element.
std::size_t SizeOf(DataType type);
// "float32", "uint8", …
std::string_view DataTypeName(DataType type);

// Up to 8 dimensions, inline; -1 is a dimension that is not fixed.
class Shape {
 public:
  static constexpr std::size_t kMaxRank = 8;
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims);
  // InvalidArgument above kMaxRank or for a dimension below -1.
  static Result<Shape> From(std::span<const std::int64_t> dims);

  std::size_t rank() const { return rank_; }
  std::int64_t operator[](std::size_t i) const { return dims_[i]; }
  std::int64_t& operator[](std::size_t i) { return dims_[i]; }
  std::span<const std::int64_t> dims() const { return {dims_, rank_}; }
  bool IsFixed() const;
  // Product of the dimensions; nullopt where one is not fixed or the product overflows.
  std::optional<std::int64_t> ElementCount() const;
  // Same rank, and equal wherever both are fixed.
  bool Matches(const Shape& other) const;
  bool operator==(const Shape& other) const;
  // "[1,300,300,3]", "?" for a dimension that is not fixed.
  std::string ToString() const;

 private:
  std::int64_t dims_[kMaxRank] = {};
  std::size_t rank_ = 0;
};

struct TensorSpec {
  std::string name;
  DataType type = DataType::kFloat32;
  Shape shape;
  // Affine quantisation of integer tensors: real = scale * (q - zero_point); scale 0 where there is
  // none.
  float scale = 0;
  std::int32_t zero_point = 0;

  std::string ToString() const;  // "images float32 [1,300,300,3]"
};

// Elements in row-major order. Does not own; valid as long as whoever lent it says.
struct TensorView {
  DataType type = DataType::kFloat32;
  Shape shape;
  void* data = nullptr;
  std::size_t bytes = 0;

  template <typename T>
  std::span<T> As() const {
    return {static_cast<T*>(data), bytes / sizeof(T)};
  }
};

}  // namespace selvedge
