#include "optimizer/import.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>
#include <set>

#include "base/file.h"
#include "optimizer/graph.h"
#include "optimizer/tensor_data.h"

namespace selvedge {
namespace {

constexpr std::int64_t kOldestOpset = 9;
constexpr std::int64_t kNewestOpset = 26;

std::string NodeName(const onnx::NodeProto& node) {
  const std::string& first = node.output_size() > 0 ? node.output(0) : node.name();
  return "the node " + Quoted(node.op_type()) + " that makes " + Quoted(first);
}

Result<onnx::ModelProto> Parse(std::span<const std::byte> bytes, const ImportOptions& options) {
  if (bytes.size() > options.max_bytes) {
    return Err(ResourceExhaustedError(fmt::format(
        "the model has {} MiB, and a model in one file has at most {}; split or shrink it",
        bytes.size() >> 20U, options.max_bytes >> 20U)));
  }
  if (bytes.empty()) return Err(InvalidArgumentError("the file is empty"));
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  onnx::ModelProto model;
  if (!model.ParsePartialFromCodedStream(&stream) || !stream.ConsumedEntireMessage()) {
    return Err(InvalidArgumentError(
        "this is no ONNX model, or it is cut off or damaged (its protobuf does not parse)"));
  }
  if (!model.has_graph() || model.graph().node_size() == 0) {
    return Err(InvalidArgumentError("this holds no graph of operators: it is no ONNX model"));
  }
  if (model.graph().node_size() > options.max_nodes) {
    return Err(ResourceExhaustedError(fmt::format("the graph has {} nodes; at most {} are taken",
                                                  model.graph().node_size(), options.max_nodes)));
  }
  const std::int64_t opset = OpsetOf(model);
  if (opset < kOldestOpset || opset > kNewestOpset) {
    return Err(UnimplementedError(
        fmt::format("the model is of opset {}; {} to {} are read: export it again", opset,
                    kOldestOpset, kNewestOpset)));
  }
  return model;
}

Status CheckConstants(const onnx::GraphProto& graph) {
  if (graph.sparse_initializer_size() > 0) {
    return UnimplementedError("the model has sparse constants; export it with dense ones");
  }
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    SELVEDGE_RETURN_IF_ERROR(CheckTensor(tensor));
    if (tensor.data_type() != onnx::TensorProto::FLOAT) continue;
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::vector<float> values, FloatsOf(tensor));
    for (std::size_t i = 0; i < values.size(); ++i) {
      // A single infinity is a bound ("no limit"), not a weight.
      if (std::isfinite(values[i]) || (values.size() == 1 && std::isinf(values[i]))) continue;
      return InvalidArgumentError(fmt::format(
          "the weights {} hold {} at element {}: training diverged, or the file is damaged",
          Quoted(tensor.name()), std::isnan(values[i]) ? "NaN" : "infinity", i));
    }
  }
  return OkStatus();
}

Status CheckNames(const onnx::GraphProto& graph) {
  std::set<std::string> constants;
  std::set<std::string> made;
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    if (tensor.name().empty() || !constants.insert(tensor.name()).second) {
      return InvalidArgumentError("two constants are named " + Quoted(tensor.name()) +
                                  "; every value has one definition");
    }
  }
  made = constants;
  std::set<std::string> inputs;
  for (const onnx::ValueInfoProto& input : graph.input()) {
    if (input.name().empty() || !inputs.insert(input.name()).second) {
      return InvalidArgumentError("two inputs are named " + Quoted(input.name()));
    }
    made.insert(input.name());
  }
  for (const onnx::NodeProto& node : graph.node()) {
    if (node.output_size() == 0) {
      return InvalidArgumentError("a node " + Quoted(node.op_type()) + " makes nothing");
    }
    for (const std::string& output : node.output()) {
      if (output.empty() || made.insert(output).second) continue;
      return InvalidArgumentError("the value " + Quoted(output) +
                                  " is made twice; every value has one definition");
    }
  }
  for (const onnx::NodeProto& node : graph.node()) {
    for (const std::string& input : node.input()) {
      if (input.empty() || made.contains(input)) continue;
      return InvalidArgumentError(NodeName(node) + " reads " + Quoted(input) +
                                  ", which nothing in the graph makes");
    }
  }
  return OkStatus();
}

}  // namespace

Status SortNodes(onnx::GraphProto* graph) {
  const GraphIndex index(*graph);
  const auto count = static_cast<std::size_t>(graph->node_size());
  std::vector<int> waiting(count, 0);
  std::vector<std::vector<int>> readers(count);
  for (int i = 0; i < graph->node_size(); ++i) {
    std::set<int> needed;
    for (const std::string& read : ReadsOf(graph->node(i))) {
      // A subgraph reads its own values as well: those are not of this graph.
      if (const int producer = index.ProducerOf(read); producer >= 0) needed.insert(producer);
    }
    for (const int producer : needed) readers[static_cast<std::size_t>(producer)].push_back(i);
    waiting[static_cast<std::size_t>(i)] = static_cast<int>(needed.size());
  }
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (std::size_t i = 0; i < count; ++i) {
    if (waiting[i] == 0) ready.push(static_cast<int>(i));
  }
  std::vector<int> order;
  while (!ready.empty()) {
    order.push_back(ready.top());
    ready.pop();
    for (const int reader : readers[static_cast<std::size_t>(order.back())]) {
      if (--waiting[static_cast<std::size_t>(reader)] == 0) ready.push(reader);
    }
  }
  if (order.size() != count) {
    const auto stuck = std::ranges::find_if(waiting, [](int left) { return left > 0; });
    return InvalidArgumentError(
        NodeName(graph->node(static_cast<int>(stuck - waiting.begin()))) +
        " waits for its own result: the graph has a cycle, which ONNX does not allow");
  }
  if (std::ranges::is_sorted(order)) return OkStatus();
  google::protobuf::RepeatedPtrField<onnx::NodeProto> sorted;
  for (const int i : order) sorted.Add(std::move(*graph->mutable_node(i)));
  graph->mutable_node()->Swap(&sorted);
  return OkStatus();
}

namespace {

// `graph` is sorted.
Status CheckOutputs(const onnx::GraphProto& graph) {
  const GraphIndex index(graph);
  std::set<std::string> from_input;
  for (const onnx::ValueInfoProto& input : graph.input()) {
    if (index.IsInput(input.name())) from_input.insert(input.name());
  }
  if (from_input.empty()) return InvalidArgumentError("the model has no input");
  if (graph.output_size() == 0) return InvalidArgumentError("the model has no output");
  for (const onnx::NodeProto& node : graph.node()) {
    const std::vector<std::string> reads = ReadsOf(node);
    const auto reached = [&](const std::string& read) { return from_input.contains(read); };
    if (!std::ranges::any_of(reads, reached)) continue;
    for (const std::string& output : node.output()) {
      if (!output.empty()) from_input.insert(output);
    }
  }
  std::set<std::string> names;
  for (const onnx::ValueInfoProto& output : graph.output()) {
    if (!names.insert(output.name()).second) {
      return InvalidArgumentError("two outputs are named " + Quoted(output.name()));
    }
    if (!index.IsDefined(output.name())) {
      return InvalidArgumentError("nothing in the graph makes the output " + Quoted(output.name()));
    }
    if (!from_input.contains(output.name())) {
      return InvalidArgumentError("the output " + Quoted(output.name()) +
                                  " depends on no input: the graph is disconnected");
    }
  }
  return OkStatus();
}

// Puts the sizes asked for where the file leaves them open; what is open afterwards is an error.
Status FixInputs(const ImportOptions& options, onnx::GraphProto* graph) {
  const GraphIndex index(*graph);
  for (const auto& [name, shape] : options.input_shapes) {
    if (index.IsInput(name)) continue;
    return InvalidArgumentError("sizes were given for " + Quoted(name) +
                                ", which is no input of the model");
  }
  for (onnx::ValueInfoProto& input : *graph->mutable_input()) {
    if (!index.IsInput(input.name())) continue;
    if (!input.type().has_tensor_type()) {
      return UnimplementedError("the input " + Quoted(input.name()) +
                                " is no tensor (a sequence, a map or nothing at all)");
    }
    onnx::TensorShapeProto* shape = input.mutable_type()->mutable_tensor_type()->mutable_shape();
    if (const auto asked = options.input_shapes.find(input.name());
        asked != options.input_shapes.end()) {
      const auto rank = static_cast<int>(asked->second.size());
      bool fits = shape->dim_size() == 0 || shape->dim_size() == rank;
      for (int i = 0; fits && i < shape->dim_size(); ++i) {
        const auto& dim = shape->dim(i);
        fits = !dim.has_dim_value() || dim.dim_value() <= 0 ||
               dim.dim_value() == asked->second[static_cast<std::size_t>(i)];
      }
      if (!fits) {
        return InvalidArgumentError("the sizes asked for the input " + Quoted(input.name()) +
                                    " contradict those that the model fixes");
      }
      shape->clear_dim();
      for (const std::int64_t size : asked->second) shape->add_dim()->set_dim_value(size);
    }
    for (const auto& dim : shape->dim()) {
      if (dim.has_dim_value() && dim.dim_value() > 0) continue;
      return InvalidArgumentError(
          "the input " + Quoted(input.name()) +
          " has sizes that the model leaves open; fix them, as in --shape " + "NAME=1,3,224,224");
    }
  }
  return OkStatus();
}

}  // namespace

Result<onnx::ModelProto> ImportOnnx(std::span<const std::byte> bytes,
                                    const ImportOptions& options) {
  SELVEDGE_ASSIGN_OR_RETURN(onnx::ModelProto model, Parse(bytes, options));
  onnx::GraphProto* graph = model.mutable_graph();
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckConstants(*graph));
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckNames(*graph));
  SELVEDGE_RETURN_ERR_IF_ERROR(SortNodes(graph));
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckOutputs(*graph));
  SELVEDGE_RETURN_ERR_IF_ERROR(FixInputs(options, graph));
  return model;
}

Result<onnx::ModelProto> LoadOnnx(const std::string& path, const ImportOptions& options) {
  const Result<MappedFile> file = MappedFile::Open(path, options.max_bytes);
  if (!file) return Err(file.error());
  Result<onnx::ModelProto> model = ImportOnnx(file->content(), options);
  if (!model) return Err(model.error().WithContext(path));
  return model;
}

}  // namespace selvedge
