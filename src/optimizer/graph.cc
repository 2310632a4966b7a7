#include "optimizer/graph.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>

namespace selvedge {
namespace {

void AppendReads(const onnx::NodeProto& node, std::vector<std::string>* reads) {
  reads->insert(reads->end(), node.input().begin(), node.input().end());
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    for (const onnx::NodeProto& inner : attribute.g().node()) AppendReads(inner, reads);
    for (const onnx::ValueInfoProto& output : attribute.g().output()) {
      reads->push_back(output.name());
    }
    for (const onnx::GraphProto& graph : attribute.graphs()) {
      for (const onnx::NodeProto& inner : graph.node()) AppendReads(inner, reads);
      for (const onnx::ValueInfoProto& output : graph.output()) reads->push_back(output.name());
    }
  }
}

}  // namespace

std::vector<std::string> ReadsOf(const onnx::NodeProto& node) {
  std::vector<std::string> reads;
  AppendReads(node, &reads);
  return reads;
}

GraphIndex::GraphIndex(const onnx::GraphProto& graph) {
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    constants_.emplace(tensor.name(), &tensor);
  }
  for (const onnx::ValueInfoProto& input : graph.input()) {
    if (!constants_.contains(input.name())) inputs_.insert(input.name());
  }
  for (const onnx::ValueInfoProto& output : graph.output()) outputs_.insert(output.name());
  for (int i = 0; i < graph.node_size(); ++i) {
    for (const std::string& output : graph.node(i).output()) {
      if (!output.empty()) producers_.emplace(output, i);
    }
    for (const std::string& read : ReadsOf(graph.node(i))) {
      if (read.empty()) continue;
      std::vector<int>& consumers = consumers_[read];
      if (consumers.empty() || consumers.back() != i) consumers.push_back(i);
    }
  }
}

int GraphIndex::ProducerOf(std::string_view value) const {
  const auto found = producers_.find(value);
  return found == producers_.end() ? -1 : found->second;
}

const std::vector<int>& GraphIndex::ConsumersOf(std::string_view value) const {
  static const std::vector<int> kNone;
  const auto found = consumers_.find(value);
  return found == consumers_.end() ? kNone : found->second;
}

const onnx::TensorProto* GraphIndex::ConstantOf(std::string_view value) const {
  const auto found = constants_.find(value);
  return found == constants_.end() ? nullptr : found->second;
}

bool GraphIndex::IsDefined(std::string_view value) const {
  return producers_.contains(value) || constants_.contains(value) || inputs_.contains(value);
}

int GraphIndex::SoleConsumerOf(std::string_view value) const {
  const std::vector<int>& consumers = ConsumersOf(value);
  return consumers.size() == 1 && !IsOutput(value) ? consumers[0] : -1;
}

const onnx::AttributeProto* AttributeOf(const onnx::NodeProto& node, std::string_view name) {
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}

std::int64_t IntegerOf(const onnx::NodeProto& node, std::string_view name, std::int64_t otherwise) {
  const onnx::AttributeProto* attribute = AttributeOf(node, name);
  return attribute == nullptr ? otherwise : attribute->i();
}

float FloatOf(const onnx::NodeProto& node, std::string_view name, float otherwise) {
  const onnx::AttributeProto* attribute = AttributeOf(node, name);
  return attribute == nullptr ? otherwise : attribute->f();
}

void SetInteger(std::string_view name, std::int64_t value, onnx::NodeProto* node) {
  onnx::AttributeProto* attribute = node->add_attribute();
  attribute->set_name(std::string(name));
  attribute->set_type(onnx::AttributeProto::INT);
  attribute->set_i(value);
}

bool IsOp(const onnx::NodeProto& node, std::string_view op) {
  return node.op_type() == op && (node.domain().empty() || node.domain() == "ai.onnx");
}

std::int64_t OpsetOf(const onnx::ModelProto& model) {
  for (const onnx::OperatorSetIdProto& opset : model.opset_import()) {
    if (opset.domain().empty() || opset.domain() == "ai.onnx") return opset.version();
  }
  return 0;
}

namespace {

void ReplaceReadsInside(std::string_view from, const std::string& to, onnx::GraphProto* subgraph) {
  for (onnx::NodeProto& node : *subgraph->mutable_node()) ReplaceReads(from, to, &node);
  for (onnx::ValueInfoProto& output : *subgraph->mutable_output()) {
    if (output.name() == from) output.set_name(to);
  }
}

}  // namespace

void ReplaceReads(std::string_view from, const std::string& to, onnx::NodeProto* node) {
  for (std::string& input : *node->mutable_input()) {
    if (input == from) input = to;
  }
  for (onnx::AttributeProto& attribute : *node->mutable_attribute()) {
    if (attribute.has_g()) ReplaceReadsInside(from, to, attribute.mutable_g());
    for (onnx::GraphProto& graph : *attribute.mutable_graphs()) {
      ReplaceReadsInside(from, to, &graph);
    }
  }
}

void RemoveNodes(const std::vector<bool>& dead, onnx::GraphProto* graph) {
  int kept = 0;
  for (int i = 0; i < graph->node_size(); ++i) {
    if (dead[static_cast<std::size_t>(i)]) continue;
    if (kept != i) graph->mutable_node()->SwapElements(kept, i);
    ++kept;
  }
  graph->mutable_node()->DeleteSubrange(kept, graph->node_size() - kept);
}

void RemoveConstants(const std::set<std::string>& names, onnx::GraphProto* graph) {
  int kept = 0;
  for (int i = 0; i < graph->initializer_size(); ++i) {
    if (names.contains(graph->initializer(i).name())) continue;
    if (kept != i) graph->mutable_initializer()->SwapElements(kept, i);
    ++kept;
  }
  graph->mutable_initializer()->DeleteSubrange(kept, graph->initializer_size() - kept);
  int inputs = 0;  // IR versions before 4 list constants as inputs, too
  for (int i = 0; i < graph->input_size(); ++i) {
    if (names.contains(graph->input(i).name())) continue;
    if (inputs != i) graph->mutable_input()->SwapElements(inputs, i);
    ++inputs;
  }
  graph->mutable_input()->DeleteSubrange(inputs, graph->input_size() - inputs);
}

std::string FreshName(const GraphIndex& index, const std::string& wanted) {
  std::string name = wanted;
  for (int i = 2; index.IsDefined(name); ++i) name = wanted + "_" + std::to_string(i);
  return name;
}

std::string Serialize(const onnx::ModelProto& model) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  {
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    model.SerializePartialToCodedStream(&coded);
  }
  return bytes;
}

}  // namespace selvedge
