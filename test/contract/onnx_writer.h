#pragma once

// OnnxWriter: writes small ONNX models, so that tests need neither files nor the onnx package.
//
// Field numbers are those of onnx.proto (ONNX IR version 8, opset 13). Test code; not thread-safe.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace selvedge {

class OnnxWriter {
 public:
  // Dimensions: -1 is one that is not fixed. `type` is TensorProto.DataType: 1 float, 2 uint8, 7
  // int64.
  void AddInput(std::string_view name, const std::vector<std::int64_t>& dims, int type = 1);
  void AddOutput(std::string_view name, const std::vector<std::int64_t>& dims, int type = 1);
  void AddNode(std::string_view op, const std::vector<std::string>& inputs,
               const std::vector<std::string>& outputs, std::string_view domain = "");
  void AddFloats(std::string_view name, const std::vector<std::int64_t>& dims,
                 const std::vector<float>& values);
  std::string Finish() const;

 private:
  std::string graph_;
};

}  // namespace selvedge
