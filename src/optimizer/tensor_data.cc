#include "optimizer/tensor_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace selvedge {
namespace {

// Bytes of one element in raw_data; 0 for types that are packed (int4) or have no raw form.
std::int64_t RawSize(int type) {
  switch (type) {
    case onnx::TensorProto::FLOAT:
    case onnx::TensorProto::INT32:
    case onnx::TensorProto::UINT32: return 4;
    case onnx::TensorProto::UINT8:
    case onnx::TensorProto::INT8:
    case onnx::TensorProto::BOOL: return 1;
    case onnx::TensorProto::UINT16:
    case onnx::TensorProto::INT16:
    case onnx::TensorProto::FLOAT16:
    case onnx::TensorProto::BFLOAT16: return 2;
    case onnx::TensorProto::INT64:
    case onnx::TensorProto::UINT64:
    case onnx::TensorProto::DOUBLE:
    case onnx::TensorProto::COMPLEX64: return 8;
    case onnx::TensorProto::COMPLEX128: return 16;
    default: return 0;
  }
}

// Elements in the typed fields, for tensors that keep no raw data.
std::int64_t TypedCount(const onnx::TensorProto& tensor) {
  switch (tensor.data_type()) {
    case onnx::TensorProto::FLOAT: return tensor.float_data_size();
    case onnx::TensorProto::COMPLEX64: return tensor.float_data_size() / 2;
    case onnx::TensorProto::DOUBLE: return tensor.double_data_size();
    case onnx::TensorProto::COMPLEX128: return tensor.double_data_size() / 2;
    case onnx::TensorProto::INT64: return tensor.int64_data_size();
    case onnx::TensorProto::UINT32:
    case onnx::TensorProto::UINT64: return tensor.uint64_data_size();
    case onnx::TensorProto::STRING: return tensor.string_data_size();
    default: return tensor.int32_data_size();
  }
}

template <typename To, typename From>
std::vector<To> FromRaw(const std::string& raw) {
  std::vector<From> values(raw.size() / sizeof(From));
  std::memcpy(values.data(), raw.data(), values.size() * sizeof(From));
  return {values.begin(), values.end()};
}

}  // namespace

std::string Quoted(std::string_view name) {
  constexpr std::size_t kLongest = 80;
  std::string text = "\"";
  for (const char c : name.substr(0, kLongest)) {
    text += c >= ' ' && c < 127 && c != '"' ? c : '?';
  }
  return text + (name.size() > kLongest ? "...\"" : "\"");
}

Result<std::int64_t> ElementCount(const onnx::TensorProto& tensor) {
  std::int64_t count = 1;
  for (const std::int64_t dim : tensor.dims()) {
    if (dim < 0 || (dim > 0 && count > std::numeric_limits<std::int32_t>::max() / dim)) {
      return Err(InvalidArgumentError("the constant " + Quoted(tensor.name()) +
                                      " has impossible dimensions; export the model again"));
    }
    count *= dim;
  }
  return count;
}

Status CheckTensor(const onnx::TensorProto& tensor) {
  if (tensor.data_location() == onnx::TensorProto::EXTERNAL || tensor.external_data_size() > 0) {
    return UnimplementedError("the weights of " + Quoted(tensor.name()) +
                              " lie outside the model's file (external data); save the model with "
                              "its weights inside, as one file below 2 GiB");
  }
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::int64_t count, ElementCount(tensor));
  if (tensor.has_segment() || !onnx::TensorProto::DataType_IsValid(tensor.data_type()) ||
      tensor.data_type() == onnx::TensorProto::UNDEFINED) {
    return InvalidArgumentError("the constant " + Quoted(tensor.name()) +
                                " has no data type known here; export the model again");
  }
  if (!tensor.has_raw_data()) {
    // Types narrower than a byte put several elements into one entry.
    const bool packed = RawSize(tensor.data_type()) == 0;
    if (packed ? TypedCount(tensor) > count : TypedCount(tensor) != count) {
      return InvalidArgumentError(fmt::format("the constant {} holds {} values where {} belong",
                                              Quoted(tensor.name()), TypedCount(tensor), count));
    }
    return OkStatus();
  }
  const std::int64_t size = RawSize(tensor.data_type());
  const auto bytes = static_cast<std::int64_t>(tensor.raw_data().size());
  if (size == 0 ? bytes > count : bytes != count * size) {
    return InvalidArgumentError(fmt::format("the constant {} holds {} bytes where {} belong",
                                            Quoted(tensor.name()), bytes, count * size));
  }
  return OkStatus();
}

Result<std::vector<float>> FloatsOf(const onnx::TensorProto& tensor) {
  if (tensor.data_type() != onnx::TensorProto::FLOAT) {
    return Err(InvalidArgumentError("the constant " + Quoted(tensor.name()) + " is not float32"));
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckTensor(tensor));
  if (tensor.has_raw_data()) return FromRaw<float, float>(tensor.raw_data());
  return std::vector<float>(tensor.float_data().begin(), tensor.float_data().end());
}

Result<std::vector<std::int64_t>> IntegersOf(const onnx::TensorProto& tensor) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckTensor(tensor));
  if (tensor.data_type() == onnx::TensorProto::INT64) {
    if (tensor.has_raw_data()) return FromRaw<std::int64_t, std::int64_t>(tensor.raw_data());
    return std::vector<std::int64_t>(tensor.int64_data().begin(), tensor.int64_data().end());
  }
  if (tensor.data_type() == onnx::TensorProto::INT32) {
    if (tensor.has_raw_data()) return FromRaw<std::int64_t, std::int32_t>(tensor.raw_data());
    return std::vector<std::int64_t>(tensor.int32_data().begin(), tensor.int32_data().end());
  }
  return Err(InvalidArgumentError("the constant " + Quoted(tensor.name()) +
                                  " is neither int32 nor int64"));
}

onnx::TensorProto MakeTensor(std::string_view name, onnx::TensorProto::DataType type,
                             std::span<const std::int64_t> dims, std::string_view values) {
  onnx::TensorProto tensor;
  tensor.set_name(std::string(name));
  tensor.set_data_type(type);
  tensor.mutable_dims()->Add(dims.begin(), dims.end());
  tensor.set_raw_data(std::string(values));
  return tensor;
}

onnx::TensorProto MakeFloats(std::string_view name, std::span<const std::int64_t> dims,
                             std::span<const float> values) {
  return MakeTensor(name, onnx::TensorProto::FLOAT, dims,
                    {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

Result<onnx::TensorProto::DataType> ToOnnxType(DataType type) {
  switch (type) {
    case DataType::kFloat32: return onnx::TensorProto::FLOAT;
    case DataType::kFloat16: return onnx::TensorProto::FLOAT16;
    case DataType::kBfloat16: return onnx::TensorProto::BFLOAT16;
    case DataType::kUint8: return onnx::TensorProto::UINT8;
    case DataType::kInt8: return onnx::TensorProto::INT8;
    case DataType::kInt32: return onnx::TensorProto::INT32;
    case DataType::kInt64: return onnx::TensorProto::INT64;
    case DataType::kBool: return onnx::TensorProto::BOOL;
  }
  return Err(UnimplementedError("a tensor type that ONNX has no name for"));
}

}  // namespace selvedge
