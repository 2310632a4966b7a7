#include "optimizer/passes.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "optimizer/fold_constants.h"
#include "optimizer/tensor_data.h"

namespace selvedge {
namespace {

// Element type of a value where it can be told without inference: inputs, constants, casts.
int TypeOf(const onnx::GraphProto& graph, const GraphIndex& index, const std::string& value) {
  if (const onnx::TensorProto* constant = index.ConstantOf(value)) return constant->data_type();
  if (index.IsInput(value)) {
    for (const onnx::ValueInfoProto& input : graph.input()) {
      if (input.name() == value) return input.type().tensor_type().elem_type();
    }
  }
  const int producer = index.ProducerOf(value);
  if (producer < 0) return onnx::TensorProto::UNDEFINED;
  const onnx::NodeProto& node = graph.node(producer);
  if (IsOp(node, "Cast")) {
    return static_cast<int>(IntegerOf(node, "to", onnx::TensorProto::UNDEFINED));
  }
  if (IsOp(node, "Shape") || IsOp(node, "Size")) return onnx::TensorProto::INT64;
  return onnx::TensorProto::UNDEFINED;
}

bool IsNoOp(const onnx::GraphProto& graph, const GraphIndex& index, const onnx::NodeProto& node) {
  if (node.input_size() == 0) return false;
  if (IsOp(node, "Identity")) return true;
  if (IsOp(node, "Cast")) {
    const int from = TypeOf(graph, index, node.input(0));
    return from != onnx::TensorProto::UNDEFINED && from == IntegerOf(node, "to", -1);
  }
  if (!IsOp(node, "Dropout") || node.input_size() > 2) return false;
  const bool wants_mask =
      node.output_size() > 1 && !node.output(1).empty() &&
      (index.IsOutput(node.output(1)) || !index.ConsumersOf(node.output(1)).empty());
  return !wants_mask;
}

std::vector<bool> Flags(const onnx::GraphProto& graph) {
  return std::vector<bool>(static_cast<std::size_t>(graph.node_size()), false);
}

}  // namespace

bool BypassNode(int node_index, onnx::GraphProto* graph) {
  const GraphIndex index(*graph);
  onnx::NodeProto* node = graph->mutable_node(node_index);
  const std::string input = node->input(0);
  const std::string output = node->output(0);
  if (!index.IsOutput(output)) {
    for (const int reader : index.ConsumersOf(output)) {
      ReplaceReads(output, input, graph->mutable_node(reader));
    }
    return true;
  }
  // The output keeps its name, so what makes the input takes it over.
  const int producer = index.ProducerOf(input);
  if (producer < 0 || index.IsOutput(input)) return false;
  for (const int reader : index.ConsumersOf(input)) {
    if (reader != node_index) ReplaceReads(input, output, graph->mutable_node(reader));
  }
  for (std::string& made : *graph->mutable_node(producer)->mutable_output()) {
    if (made == input) made = output;
  }
  // The node itself goes; until then it makes nothing that has a name of the graph's.
  node->set_input(0, output);
  node->set_output(0, "");
  return true;
}

int RemoveDeadCode(onnx::ModelProto* model) {
  onnx::GraphProto* graph = model->mutable_graph();
  std::set<std::string> needed;
  for (const onnx::ValueInfoProto& output : graph->output()) needed.insert(output.name());
  std::vector<bool> dead = Flags(*graph);
  int removed = 0;
  for (int i = graph->node_size() - 1; i >= 0; --i) {
    const onnx::NodeProto& node = graph->node(i);
    const bool used = std::ranges::any_of(node.output(), [&](const std::string& output) {
      return !output.empty() && needed.contains(output);
    });
    if (used) {
      for (std::string& read : ReadsOf(node)) needed.insert(std::move(read));
    } else {
      dead[static_cast<std::size_t>(i)] = true;
      ++removed;
    }
  }
  RemoveNodes(dead, graph);
  std::set<std::string> unread;
  for (const onnx::TensorProto& tensor : graph->initializer()) {
    if (!needed.contains(tensor.name())) unread.insert(tensor.name());
  }
  RemoveConstants(unread, graph);
  return removed + static_cast<int>(unread.size());
}

int RemoveNoOps(onnx::ModelProto* model) {
  onnx::GraphProto* graph = model->mutable_graph();
  std::vector<bool> dead = Flags(*graph);
  int removed = 0;
  for (int i = 0; i < graph->node_size(); ++i) {
    if (!IsNoOp(*graph, GraphIndex(*graph), graph->node(i)) || !BypassNode(i, graph)) continue;
    dead[static_cast<std::size_t>(i)] = true;
    ++removed;
  }
  RemoveNodes(dead, graph);
  return removed;
}

std::optional<Bounds> BoundsOf(const onnx::NodeProto& node, const GraphIndex& index) {
  constexpr float kAll = std::numeric_limits<float>::infinity();
  if (IsOp(node, "Relu")) return Bounds{.low = 0, .high = kAll};
  if (!IsOp(node, "Clip")) return std::nullopt;
  Bounds bounds{.low = FloatOf(node, "min", -kAll), .high = FloatOf(node, "max", kAll)};
  for (int i = 1; i < node.input_size(); ++i) {
    if (node.input(i).empty()) continue;
    const onnx::TensorProto* constant = index.ConstantOf(node.input(i));
    if (constant == nullptr) return std::nullopt;
    const Result<std::vector<float>> value = FloatsOf(*constant);
    if (!value || value->size() != 1) return std::nullopt;
    (i == 1 ? bounds.low : bounds.high) = (*value)[0];
  }
  if (!(bounds.low <= bounds.high)) return std::nullopt;
  return bounds;
}

namespace {

// Bounds are attributes before opset 11, inputs from then on.
void WriteClip(const Bounds& bounds, std::int64_t opset, const GraphIndex& index,
               onnx::GraphProto* graph, onnx::NodeProto* node) {
  const std::string input = node->input(0);
  node->set_op_type("Clip");
  node->clear_attribute();
  node->clear_input();
  node->add_input(input);
  for (const auto& [name, value] : {std::pair("min", bounds.low), std::pair("max", bounds.high)}) {
    if (opset < 11) {
      onnx::AttributeProto* attribute = node->add_attribute();
      attribute->set_name(name);
      attribute->set_type(onnx::AttributeProto::FLOAT);
      attribute->set_f(value);
      continue;
    }
    const std::string constant = FreshName(index, node->output(0) + "/" + name);
    *graph->add_initializer() = MakeFloats(constant, {}, {&value, 1});
    node->add_input(constant);
  }
}

}  // namespace

int MergeClips(onnx::ModelProto* model) {
  onnx::GraphProto* graph = model->mutable_graph();
  std::vector<bool> dead = Flags(*graph);
  int merged = 0;
  for (int i = 0; i < graph->node_size(); ++i) {
    const GraphIndex index(*graph);
    onnx::NodeProto* second = graph->mutable_node(i);
    const int before = second->input_size() > 0 ? index.ProducerOf(second->input(0)) : -1;
    if (before < 0 || index.SoleConsumerOf(second->input(0)) != i) continue;
    const onnx::NodeProto& first = graph->node(before);
    if (first.input_size() == 0) continue;
    // Two Relus may be of integers, for which no Clip of floats can stand.
    if (!IsOp(first, "Clip") && !IsOp(*second, "Clip")) continue;
    const std::optional<Bounds> inner = BoundsOf(first, index);
    const std::optional<Bounds> outer = BoundsOf(*second, index);
    if (!inner || !outer) continue;
    const Bounds both{.low = std::clamp(inner->low, outer->low, outer->high),
                      .high = std::clamp(inner->high, outer->low, outer->high)};
    second->set_input(0, first.input(0));
    WriteClip(both, OpsetOf(*model), index, graph, second);
    graph->mutable_node(before)->clear_input();
    graph->mutable_node(before)->set_output(0, "");
    dead[static_cast<std::size_t>(before)] = true;
    ++merged;
  }
  RemoveNodes(dead, graph);
  return merged;
}

Result<SimplifyReport> Simplify(EngineBackend* backend, onnx::ModelProto* model) {
  SimplifyReport report;
  model->mutable_graph()->clear_value_info();
  report.dead = RemoveDeadCode(model);
  report.no_ops = RemoveNoOps(model);
  SELVEDGE_ASSIGN_OR_RETURN(report.constants, FoldConstants(backend, model));
  SELVEDGE_ASSIGN_OR_RETURN(report.reshapes, RemoveNeedlessReshapes(backend, model));
  report.no_ops += RemoveNoOps(model);
  report.batch_norms = FoldBatchNorms(model);
  report.clips = MergeClips(model);
  report.dead += RemoveDeadCode(model);
  return report;
}

}  // namespace selvedge
