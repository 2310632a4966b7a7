#include "optimizer/fold_constants.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "optimizer/graph.h"
#include "optimizer/graph_run.h"
#include "optimizer/passes.h"
#include "optimizer/tensor_data.h"

namespace selvedge {
namespace {

constexpr int kNoSizes = 99;
constexpr std::size_t kLargestConstant = std::size_t{16} << 20U;

// Operators that give the same for the same, and the first of their inputs that holds sizes,
// positions or axes: from there on, inputs must be constant for the output's shape to be static.
struct KnownOperator {
  std::string_view name;
  int first_size_input = kNoSizes;
};
constexpr KnownOperator kKnown[] = {{"Reshape", 1},
                                    {"Expand", 1},
                                    {"Slice", 1},
                                    {"Pad", 1},
                                    {"Tile", 1},
                                    {"Resize", 1},
                                    {"TopK", 1},
                                    {"OneHot", 1},
                                    {"Squeeze", 1},
                                    {"Unsqueeze", 1},
                                    {"Split", 1},
                                    {"ReduceSum", 1},
                                    {"ReduceMean", 1},
                                    {"ReduceMax", 1},
                                    {"ReduceMin", 1},
                                    {"ReduceProd", 1},
                                    {"ReduceL2", 1},
                                    {"Upsample", 1},
                                    {"ConstantOfShape", 0},
                                    {"Range", 0},
                                    {"Abs"},
                                    {"Add"},
                                    {"And"},
                                    {"ArgMax"},
                                    {"ArgMin"},
                                    {"AveragePool"},
                                    {"Ceil"},
                                    {"Cast"},
                                    {"Clip"},
                                    {"Concat"},
                                    {"Constant"},
                                    {"Conv"},
                                    {"Cos"},
                                    {"Div"},
                                    {"DepthToSpace"},
                                    {"Elu"},
                                    {"Equal"},
                                    {"Erf"},
                                    {"Exp"},
                                    {"Flatten"},
                                    {"Floor"},
                                    {"Gather"},
                                    {"GatherElements"},
                                    {"Gelu"},
                                    {"Gemm"},
                                    {"GlobalAveragePool"},
                                    {"GlobalMaxPool"},
                                    {"Greater"},
                                    {"GreaterOrEqual"},
                                    {"HardSigmoid"},
                                    {"HardSwish"},
                                    {"Identity"},
                                    {"InstanceNormalization"},
                                    {"LayerNormalization"},
                                    {"LeakyRelu"},
                                    {"Less"},
                                    {"LessOrEqual"},
                                    {"Log"},
                                    {"LogSoftmax"},
                                    {"LRN"},
                                    {"MatMul"},
                                    {"Max"},
                                    {"MaxPool"},
                                    {"Mean"},
                                    {"Min"},
                                    {"Mish"},
                                    {"Mod"},
                                    {"Mul"},
                                    {"Neg"},
                                    {"Not"},
                                    {"Or"},
                                    {"PRelu"},
                                    {"Pow"},
                                    {"Reciprocal"},
                                    {"Relu"},
                                    {"Round"},
                                    {"Selu"},
                                    {"Shape"},
                                    {"Sigmoid"},
                                    {"Sign"},
                                    {"Sin"},
                                    {"Size"},
                                    {"Softmax"},
                                    {"Softplus"},
                                    {"SpaceToDepth"},
                                    {"Sqrt"},
                                    {"Sub"},
                                    {"Sum"},
                                    {"Tanh"},
                                    {"Transpose"},
                                    {"Where"}};

const KnownOperator* Find(std::string_view name) {
  const auto* found = std::ranges::find(kKnown, name, &KnownOperator::name);
  return found == std::end(kKnown) ? nullptr : found;
}

bool KeepsShapesStatic(const onnx::NodeProto& node) {
  if (!node.domain().empty() && node.domain() != "ai.onnx") return false;
  // In inference only; a third input may switch training on.
  if (node.op_type() == "Dropout") return node.input_size() < 3;
  if (node.op_type() == "BatchNormalization") return IntegerOf(node, "training_mode", 0) == 0;
  return Find(node.op_type()) != nullptr;
}

int FirstSizeInput(const onnx::NodeProto& node) {
  const KnownOperator* known = Find(node.op_type());
  return known == nullptr ? kNoSizes : known->first_size_input;
}

}  // namespace

StaticValues FindStaticValues(const onnx::ModelProto& model) {
  StaticValues values;
  std::set<std::string, std::less<>> initializers;
  for (const onnx::TensorProto& tensor : model.graph().initializer()) {
    initializers.insert(tensor.name());
    values.shapes.insert(tensor.name());
  }
  for (const onnx::ValueInfoProto& input : model.graph().input()) {
    values.shapes.insert(input.name());  // import.h fixed their sizes
  }
  for (const onnx::NodeProto& node : model.graph().node()) {
    if (!KeepsShapesStatic(node)) continue;
    bool constant = true;
    bool shape = true;
    for (int i = 0; i < node.input_size(); ++i) {
      const std::string& input = node.input(i);
      if (input.empty()) continue;
      const bool known = initializers.contains(input) || values.constants.contains(input);
      constant = constant && known;
      shape = shape && values.shapes.contains(input) && (i < FirstSizeInput(node) || known);
    }
    if (IsOp(node, "Shape") || IsOp(node, "Size")) constant = shape;
    for (const std::string& output : node.output()) {
      if (output.empty()) continue;
      if (shape) values.shapes.insert(output);
      if (constant && shape) values.constants.insert(output);
    }
  }
  return values;
}

namespace {

// Constant values that something which is not constant reads.
std::vector<std::string> Frontier(const onnx::GraphProto& graph, const StaticValues& values) {
  const GraphIndex index(graph);
  std::vector<std::string> frontier;
  for (const onnx::NodeProto& node : graph.node()) {
    for (const std::string& output : node.output()) {
      if (!values.constants.contains(output) || index.IsOutput(output)) continue;
      const auto varies = [&](int reader) {
        return std::ranges::none_of(graph.node(reader).output(), [&](const std::string& made) {
          return values.constants.contains(made);
        });
      };
      if (std::ranges::any_of(index.ConsumersOf(output), varies)) frontier.push_back(output);
    }
  }
  return frontier;
}

Result<std::vector<onnx::TensorProto>> Compute(EngineBackend* backend, onnx::ModelProto* model,
                                               const std::vector<std::string>& values) {
  SELVEDGE_ASSIGN_OR_RETURN(GraphRun run, GraphRun::Load(backend, model, values));
  SELVEDGE_RETURN_ERR_IF_ERROR(RunOnZeros(&run));
  std::vector<onnx::TensorProto> constants;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const TensorView& view = run.value(i);
    if (view.bytes > kLargestConstant) continue;
    SELVEDGE_ASSIGN_OR_RETURN(const onnx::TensorProto::DataType type, ToOnnxType(view.type));
    constants.push_back(MakeTensor(values[i], type, view.shape.dims(),
                                   {static_cast<const char*>(view.data), view.bytes}));
  }
  return constants;
}

}  // namespace

Result<int> FoldConstants(EngineBackend* backend, onnx::ModelProto* model) {
  onnx::GraphProto* graph = model->mutable_graph();
  const std::vector<std::string> frontier = Frontier(*graph, FindStaticValues(*model));
  if (frontier.empty()) return 0;
  Result<std::vector<onnx::TensorProto>> computed = Compute(backend, model, frontier);
  if (!computed) {
    // Of a type that our tensors do not have: the model keeps computing it.
    if (computed.error().code() == StatusCode::kUnimplemented) return 0;
    return Err(computed.error());
  }
  std::vector<onnx::TensorProto> constants = *std::move(computed);
  std::set<std::string> folded;
  for (const onnx::TensorProto& constant : constants) folded.insert(constant.name());
  const GraphIndex index(*graph);
  for (onnx::NodeProto& node : *graph->mutable_node()) {
    const auto made = [&](const std::string& output) { return folded.contains(output); };
    const auto needed = [&](const std::string& output) {
      return !made(output) && (index.IsOutput(output) || !index.ConsumersOf(output).empty());
    };
    // A node that makes something else as well stays as it is.
    const bool stays = std::ranges::any_of(node.output(), needed);
    for (std::string& output : *node.mutable_output()) {
      if (!made(output)) continue;
      if (stays) {
        folded.erase(output);
      } else {
        output.clear();
      }
    }
  }
  for (onnx::TensorProto& constant : constants) {
    if (folded.contains(constant.name())) *graph->add_initializer() = std::move(constant);
  }
  return RemoveDeadCode(model);
}

Result<int> RemoveNeedlessReshapes(EngineBackend* backend, onnx::ModelProto* model) {
  const StaticValues known = FindStaticValues(*model);
  const GraphIndex index(model->graph());
  std::vector<int> candidates;
  std::vector<std::string> values;
  for (int i = 0; i < model->graph().node_size(); ++i) {
    const onnx::NodeProto& node = model->graph().node(i);
    const bool reshapes = IsOp(node, "Reshape") || IsOp(node, "Flatten") || IsOp(node, "Squeeze") ||
                          IsOp(node, "Unsqueeze");
    if (!reshapes || node.input_size() == 0 || !known.shapes.contains(node.output(0))) continue;
    if (index.ProducerOf(node.input(0)) < 0) continue;
    candidates.push_back(i);
    values.insert(values.end(), {node.input(0), node.output(0)});
  }
  if (candidates.empty()) return 0;
  std::vector<std::string> wanted = values;
  std::ranges::sort(wanted);
  wanted.erase(std::ranges::unique(wanted).begin(), wanted.end());
  SELVEDGE_ASSIGN_OR_RETURN(GraphRun run, GraphRun::Load(backend, model, wanted));
  SELVEDGE_RETURN_ERR_IF_ERROR(RunOnZeros(&run));
  const auto shape_of = [&](const std::string& name) {
    const auto found = std::ranges::lower_bound(wanted, name);
    return run.value(static_cast<std::size_t>(found - wanted.begin())).shape;
  };
  std::vector<bool> dead(static_cast<std::size_t>(model->graph().node_size()), false);
  int removed = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (!(shape_of(values[2 * i]) == shape_of(values[2 * i + 1]))) continue;
    if (!BypassNode(candidates[i], model->mutable_graph())) continue;
    dead[static_cast<std::size_t>(candidates[i])] = true;
    ++removed;
  }
  RemoveNodes(dead, model->mutable_graph());
  return removed;
}

}  // namespace selvedge
