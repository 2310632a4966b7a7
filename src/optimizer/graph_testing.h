#pragma once

// GraphMaker: small ONNX models for tests, written node by node. Test code.

#include <onnx/onnx-ml.pb.h>

#include <cstdint>
#include <string>
#include <vector>

#include "optimizer/tensor_data.h"

namespace selvedge {

class GraphMaker {
 public:
  explicit GraphMaker(int opset = 17) {
    model_.set_ir_version(8);
    model_.add_opset_import()->set_version(opset);
    model_.mutable_graph()->set_name("test");
  }
  // -1 leaves a size open.
  void Input(const std::string& name, const std::vector<std::int64_t>& dims) {
    onnx::ValueInfoProto* input = model_.mutable_graph()->add_input();
    input->set_name(name);
    auto* tensor = input->mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(onnx::TensorProto::FLOAT);
    tensor->mutable_shape();
    for (const std::int64_t dim : dims) {
      auto* added = tensor->mutable_shape()->add_dim();
      if (dim < 0) {
        added->set_dim_param("n");
      } else {
        added->set_dim_value(dim);
      }
    }
  }
  void Output(const std::string& name) { model_.mutable_graph()->add_output()->set_name(name); }
  onnx::NodeProto* Node(const std::string& op, const std::vector<std::string>& inputs,
                        const std::string& output) {
    onnx::NodeProto* node = model_.mutable_graph()->add_node();
    node->set_op_type(op);
    node->set_name(output);
    for (const std::string& input : inputs) node->add_input(input);
    node->add_output(output);
    return node;
  }
  void Floats(const std::string& name, const std::vector<std::int64_t>& dims,
              const std::vector<float>& values) {
    *model_.mutable_graph()->add_initializer() = MakeFloats(name, dims, values);
  }
  void Integers(const std::string& name, const std::vector<std::int64_t>& values) {
    const std::vector<std::int64_t> dims = {static_cast<std::int64_t>(values.size())};
    *model_.mutable_graph()->add_initializer() =
        MakeTensor(name, onnx::TensorProto::INT64, dims,
                   {reinterpret_cast<const char*>(values.data()), values.size() * 8});
  }
  const onnx::ModelProto& model() const { return model_; }
  onnx::ModelProto* mutable_model() { return &model_; }

 private:
  onnx::ModelProto model_;
};

}  // namespace selvedge
