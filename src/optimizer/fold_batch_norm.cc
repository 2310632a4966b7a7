#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "optimizer/graph.h"
#include "optimizer/passes.h"
#include "optimizer/tensor_data.h"

namespace selvedge {
namespace {

struct Affine {
  std::vector<double> scale;  // per channel
  std::vector<double> shift;
};

// y = x * scale + shift of a batch norm in inference; false where its parameters are no constants
// of one length.
bool ReadBatchNorm(const onnx::NodeProto& node, const GraphIndex& index, Affine* affine) {
  if (!IsOp(node, "BatchNormalization") || node.input_size() != 5) return false;
  if (IntegerOf(node, "training_mode", 0) != 0 || IntegerOf(node, "spatial", 1) != 1) return false;
  for (int i = 1; i < node.output_size(); ++i) {
    if (!node.output(i).empty()) return false;
  }
  std::vector<std::vector<float>> parameters;  // gamma, beta, mean, variance
  for (int i = 1; i < 5; ++i) {
    const onnx::TensorProto* constant = index.ConstantOf(node.input(i));
    if (constant == nullptr) return false;
    Result<std::vector<float>> values = FloatsOf(*constant);
    if (!values || (i > 1 && values->size() != parameters[0].size())) return false;
    parameters.push_back(*std::move(values));
  }
  const double epsilon = FloatOf(node, "epsilon", 1e-5F);
  for (std::size_t c = 0; c < parameters[0].size(); ++c) {
    const double scale = parameters[0][c] / std::sqrt(parameters[3][c] + epsilon);
    if (!std::isfinite(scale)) return false;
    affine->scale.push_back(scale);
    affine->shift.push_back(parameters[1][c] - parameters[2][c] * scale);
  }
  return true;
}

// Weights [channels, ...] and, where there is one, bias [channels] with the norm folded in.
bool FoldInto(const Affine& affine, const GraphIndex& index, onnx::GraphProto* graph,
              onnx::NodeProto* conv) {
  const onnx::TensorProto* weights = index.ConstantOf(conv->input(1));
  const bool has_bias = conv->input_size() > 2 && !conv->input(2).empty();
  const onnx::TensorProto* bias = has_bias ? index.ConstantOf(conv->input(2)) : nullptr;
  if (weights == nullptr || (has_bias && bias == nullptr)) return false;
  const std::size_t channels = affine.scale.size();
  Result<std::vector<float>> w = FloatsOf(*weights);
  if (!w || channels == 0 || weights->dims_size() < 3) return false;
  if (weights->dims(0) != static_cast<std::int64_t>(channels)) return false;
  std::vector<float> b(channels, 0);
  if (has_bias) {
    Result<std::vector<float>> values = FloatsOf(*bias);
    if (!values || values->size() != channels) return false;
    b = *std::move(values);
  }
  const std::size_t per_channel = w->size() / channels;
  for (std::size_t c = 0; c < channels; ++c) {
    for (std::size_t k = 0; k < per_channel; ++k) {
      float& weight = (*w)[c * per_channel + k];
      weight = static_cast<float>(weight * affine.scale[c]);
    }
    b[c] = static_cast<float>(b[c] * affine.scale[c] + affine.shift[c]);
  }
  const std::string weights_name = FreshName(index, conv->output(0) + "/weights");
  const std::string bias_name = FreshName(index, conv->output(0) + "/bias");
  const std::vector<std::int64_t> dims(weights->dims().begin(), weights->dims().end());
  const std::int64_t bias_dim = static_cast<std::int64_t>(channels);
  *graph->add_initializer() = MakeFloats(weights_name, dims, *w);
  *graph->add_initializer() = MakeFloats(bias_name, {&bias_dim, 1}, b);
  conv->set_input(1, weights_name);
  if (conv->input_size() < 3) conv->add_input("");
  conv->set_input(2, bias_name);
  return true;
}

}  // namespace

int FoldBatchNorms(onnx::ModelProto* model) {
  onnx::GraphProto* graph = model->mutable_graph();
  std::vector<bool> dead(static_cast<std::size_t>(graph->node_size()), false);
  int folded = 0;
  for (int i = 0; i < graph->node_size(); ++i) {
    const GraphIndex index(*graph);
    onnx::NodeProto* norm = graph->mutable_node(i);
    Affine affine;
    if (!ReadBatchNorm(*norm, index, &affine)) continue;
    const int producer = index.ProducerOf(norm->input(0));
    if (producer < 0 || index.SoleConsumerOf(norm->input(0)) != i) continue;
    onnx::NodeProto* conv = graph->mutable_node(producer);
    if (!IsOp(*conv, "Conv") || conv->input_size() < 2) continue;
    if (!FoldInto(affine, index, graph, conv)) continue;
    const std::string output = norm->output(0);
    norm->clear_input();
    norm->set_output(0, "");
    conv->set_output(0, output);
    dead[static_cast<std::size_t>(i)] = true;
    ++folded;
  }
  RemoveNodes(dead, graph);
  if (folded > 0) RemoveDeadCode(model);
  return folded;
}

}  // namespace selvedge
