#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "optimizer/graph.h"
#include "optimizer/passes.h"
#include "optimizer/quantize.h"

namespace selvedge {
namespace {

bool IsFloat(const GraphIndex& index, const std::string& name, int least_rank) {
  const onnx::TensorProto* constant = index.ConstantOf(name);
  return constant != nullptr && constant->data_type() == onnx::TensorProto::FLOAT &&
         constant->dims_size() >= least_rank;
}

// A convolution, or a Gemm as exporters write a fully connected layer: weights [outputs, inputs].
bool HasConstantWeights(const onnx::NodeProto& node, const GraphIndex& index) {
  const bool conv = IsOp(node, "Conv");
  const bool gemm = IsOp(node, "Gemm") && IntegerOf(node, "transB", 0) == 1 &&
                    IntegerOf(node, "transA", 0) == 0 && FloatOf(node, "alpha", 1) == 1 &&
                    FloatOf(node, "beta", 1) == 1;
  if ((!conv && !gemm) || node.input_size() < 2) return false;
  if (!IsFloat(index, node.input(1), conv ? 3 : 2)) return false;
  if (index.ConstantOf(node.input(0)) != nullptr) return false;
  if (node.input_size() < 3 || node.input(2).empty()) return true;
  const onnx::TensorProto* bias = index.ConstantOf(node.input(2));
  return bias != nullptr && bias->data_type() == onnx::TensorProto::FLOAT &&
         bias->dims_size() == 1 && bias->dims(0) == index.ConstantOf(node.input(1))->dims(0);
}

bool MovesOnly(const onnx::NodeProto& node) {
  constexpr std::array kMovers = {"Transpose", "Reshape",   "Concat",   "Flatten",
                                  "Squeeze",   "Unsqueeze", "Identity", "Slice"};
  return std::ranges::any_of(kMovers, [&](const char* op) { return IsOp(node, op); });
}

bool ReachesAnOutput(const onnx::GraphProto& graph, const GraphIndex& index,
                     const std::string& value) {
  if (index.IsOutput(value)) return true;
  return std::ranges::any_of(index.ConsumersOf(value), [&](int reader) {
    const onnx::NodeProto& node = graph.node(reader);
    return MovesOnly(node) && ReachesAnOutput(graph, index, node.output(0));
  });
}

}  // namespace

std::vector<QuantizationSite> FindSites(const onnx::ModelProto& model,
                                        const std::set<std::string>& keep_float) {
  const onnx::GraphProto& graph = model.graph();
  const GraphIndex index(graph);
  std::vector<QuantizationSite> sites;
  std::set<std::string> results;
  for (int i = 0; i < graph.node_size(); ++i) {
    const onnx::NodeProto& node = graph.node(i);
    QuantizationSite site{.node = i};
    site.has_weights = HasConstantWeights(node, index);
    const bool adds = IsOp(node, "Add") && node.input_size() == 2 &&
                      results.contains(node.input(0)) && results.contains(node.input(1));
    if ((!site.has_weights && !adds) || keep_float.contains(node.output(0))) continue;
    site.name = node.output(0);
    site.inputs = {node.input(0)};
    if (adds && node.input(1) != node.input(0)) site.inputs.push_back(node.input(1));
    site.output = node.output(0);
    if (const int reader = index.SoleConsumerOf(site.output); reader >= 0) {
      const std::optional<Bounds> bounds = BoundsOf(graph.node(reader), index);
      // Eight bits always represent 0.
      if (bounds && bounds->low <= 0 && bounds->high >= 0) {
        site.clip = reader;
        site.output = graph.node(reader).output(0);
      }
    }
    results.insert(site.output);
    sites.push_back(std::move(site));
  }
  return sites;
}

std::vector<std::string> ValuesToObserve(const std::vector<QuantizationSite>& sites) {
  std::vector<std::string> values;
  std::set<std::string> seen;
  for (const QuantizationSite& site : sites) {
    for (const std::string& input : site.inputs) {
      if (seen.insert(input).second) values.push_back(input);
    }
    if (seen.insert(site.output).second) values.push_back(site.output);
  }
  return values;
}

std::set<std::string> UsuallyFloat(const onnx::ModelProto& model) {
  constexpr int kFirst = 3;
  const GraphIndex index(model.graph());
  std::set<std::string> names;
  int weighted = 0;
  for (const QuantizationSite& site : FindSites(model, {})) {
    if (!site.has_weights) continue;
    if (weighted++ < kFirst || ReachesAnOutput(model.graph(), index, site.output)) {
      names.insert(site.name);
    }
  }
  return names;
}

}  // namespace selvedge
