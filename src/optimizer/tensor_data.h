#pragma once

// What is inside an ONNX tensor: read as numbers, written as raw little-endian bytes.
//
// Pure functions. Sizes are checked before anything is allocated: a tensor whose dimensions do not
// fit its data is InvalidArgument, naming it.

#include <onnx/onnx-ml.pb.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "core/tensor.h"

namespace selvedge {

// A name as messages show it: in quotes, printable, at most 80 characters.
std::string Quoted(std::string_view name);

// Product of the dimensions (1 for a scalar); InvalidArgument where one is negative or the product
// exceeds 2^31 - 1.
Result<std::int64_t> ElementCount(const onnx::TensorProto& tensor);
// Dimensions, data type and the amount of data agree; nothing is kept outside the file.
Status CheckTensor(const onnx::TensorProto& tensor);

// FLOAT only.
Result<std::vector<float>> FloatsOf(const onnx::TensorProto& tensor);
// INT64 and INT32.
Result<std::vector<std::int64_t>> IntegersOf(const onnx::TensorProto& tensor);

onnx::TensorProto MakeFloats(std::string_view name, std::span<const std::int64_t> dims,
                             std::span<const float> values);
// `values` in row-major order, as bytes of `type`.
onnx::TensorProto MakeTensor(std::string_view name, onnx::TensorProto::DataType type,
                             std::span<const std::int64_t> dims, std::string_view values);

// Unimplemented for a type that our tensors do not have (strings, doubles, complex numbers).
Result<onnx::TensorProto::DataType> ToOnnxType(DataType type);

}  // namespace selvedge
