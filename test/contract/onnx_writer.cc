#include "contract/onnx_writer.h"

#include <cstring>

namespace selvedge {
namespace {

void PutVarint(std::uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

void PutInteger(int field, std::int64_t value, std::string* out) {
  PutVarint(static_cast<std::uint64_t>(field) << 3, out);
  PutVarint(static_cast<std::uint64_t>(value), out);
}

void PutBytes(int field, std::string_view bytes, std::string* out) {
  PutVarint(static_cast<std::uint64_t>(field) << 3 | 2, out);
  PutVarint(bytes.size(), out);
  out->append(bytes);
}

std::string ValueInfo(std::string_view name, const std::vector<std::int64_t>& dims, int type) {
  std::string shape;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    std::string dim;
    if (dims[i] >= 0) {
      PutInteger(1, dims[i], &dim);
    } else {
      PutBytes(2, "d" + std::to_string(i), &dim);
    }
    PutBytes(1, dim, &shape);
  }
  std::string tensor;
  PutInteger(1, type, &tensor);
  PutBytes(2, shape, &tensor);
  std::string type_proto;
  PutBytes(1, tensor, &type_proto);
  std::string info;
  PutBytes(1, name, &info);
  PutBytes(2, type_proto, &info);
  return info;
}

}  // namespace

void OnnxWriter::AddInput(std::string_view name, const std::vector<std::int64_t>& dims, int type) {
  PutBytes(11, ValueInfo(name, dims, type), &graph_);
}

void OnnxWriter::AddOutput(std::string_view name, const std::vector<std::int64_t>& dims, int type) {
  PutBytes(12, ValueInfo(name, dims, type), &graph_);
}

void OnnxWriter::AddNode(std::string_view op, const std::vector<std::string>& inputs,
                         const std::vector<std::string>& outputs, std::string_view domain) {
  std::string node;
  for (const std::string& input : inputs) PutBytes(1, input, &node);
  for (const std::string& output : outputs) PutBytes(2, output, &node);
  PutBytes(4, op, &node);
  if (!domain.empty()) PutBytes(7, domain, &node);
  PutBytes(1, node, &graph_);
}

void OnnxWriter::AddFloats(std::string_view name, const std::vector<std::int64_t>& dims,
                           const std::vector<float>& values) {
  std::string tensor;
  for (const std::int64_t dim : dims) PutInteger(1, dim, &tensor);
  PutInteger(2, 1, &tensor);
  PutBytes(8, name, &tensor);
  std::string raw(values.size() * sizeof(float), '\0');
  std::memcpy(raw.data(), values.data(), raw.size());
  PutBytes(9, raw, &tensor);
  PutBytes(5, tensor, &graph_);
}

std::string OnnxWriter::Finish() const {
  std::string graph = graph_;
  PutBytes(2, "contract", &graph);
  std::string opset;
  PutBytes(1, "", &opset);
  PutInteger(2, 13, &opset);
  std::string model;
  PutInteger(1, 8, &model);
  PutBytes(7, graph, &model);
  PutBytes(8, opset, &model);
  return model;
}

}  // namespace selvedge
