#pragma once

// GraphIndex: who makes and who reads each value of an ONNX graph; and small things to read and
// change nodes with.
//
// The index is a snapshot: made in one pass over the graph (microseconds for hundreds of nodes),
// valid until the graph's nodes, constants, inputs or outputs change. It holds pointers into the
// graph and owns nothing else. A value has one name and is made once: by a node, as a constant
// (initializer) or as an input; import.h checks that. Values that a subgraph (If, Loop) reads from
// outside count as read by the node that holds it.

#include <onnx/onnx-ml.pb.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace selvedge {

class GraphIndex {
 public:
  explicit GraphIndex(const onnx::GraphProto& graph);

  // Index of the node that makes the value; -1 for constants, inputs and unknown names.
  int ProducerOf(std::string_view value) const;
  // Indices of the nodes that read it, ascending, each once.
  const std::vector<int>& ConsumersOf(std::string_view value) const;
  // Null where the value is no constant.
  const onnx::TensorProto* ConstantOf(std::string_view value) const;
  bool IsInput(std::string_view value) const { return inputs_.contains(value); }
  bool IsOutput(std::string_view value) const { return outputs_.contains(value); }
  bool IsDefined(std::string_view value) const;
  // The one node that reads the value, where it is read once only and is no output; else -1.
  int SoleConsumerOf(std::string_view value) const;

 private:
  std::map<std::string, int, std::less<>> producers_;
  std::map<std::string, std::vector<int>, std::less<>> consumers_;
  std::map<std::string, const onnx::TensorProto*, std::less<>> constants_;
  std::set<std::string, std::less<>> inputs_;  // without those that are constants as well
  std::set<std::string, std::less<>> outputs_;
};

// Values that a node reads: its inputs (left-out ones are "") and all names that nodes in its
// subgraphs read.
std::vector<std::string> ReadsOf(const onnx::NodeProto& node);

// The node's attribute, null where it has none of that name.
const onnx::AttributeProto* AttributeOf(const onnx::NodeProto& node, std::string_view name);
std::int64_t IntegerOf(const onnx::NodeProto& node, std::string_view name, std::int64_t otherwise);
float FloatOf(const onnx::NodeProto& node, std::string_view name, float otherwise);
void SetInteger(std::string_view name, std::int64_t value, onnx::NodeProto* node);

// Of ONNX's own operators ("" or "ai.onnx").
bool IsOp(const onnx::NodeProto& node, std::string_view op);
// 0 where the model names none.
std::int64_t OpsetOf(const onnx::ModelProto& model);

// `node`, its subgraphs included, reads `to` wherever it read `from`.
void ReplaceReads(std::string_view from, const std::string& to, onnx::NodeProto* node);
// Takes the nodes whose flag is set out of the graph; the others keep their order.
void RemoveNodes(const std::vector<bool>& dead, onnx::GraphProto* graph);
void RemoveConstants(const std::set<std::string>& names, onnx::GraphProto* graph);
// A name beginning with `wanted` that nothing in the graph has.
std::string FreshName(const GraphIndex& index, const std::string& wanted);

// Bytes of the file: the same model gives the same bytes.
std::string Serialize(const onnx::ModelProto& model);

}  // namespace selvedge
