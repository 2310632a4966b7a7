#include "optimizer/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "optimizer/graph.h"
#include "optimizer/import.h"
#include "optimizer/passes.h"
#include "optimizer/tensor_data.h"

namespace selvedge {
namespace {

constexpr std::int64_t kFirstOpset = 13;
constexpr double kLargestBias = 1 << 30;  // of int32, with room for the products

// Writes the graph's new nodes and constants. Names are those of values with a suffix.
class QdqWriter {
 public:
  QdqWriter(const Calibration& calibration, const QuantizeOptions& options, onnx::GraphProto* graph)
      : calibration_(calibration), options_(options), graph_(graph), index_(*graph) {}

  Status Prepare(const std::vector<QuantizationSite>& sites) {
    for (const std::string& value : ValuesToObserve(sites)) {
      const auto found = calibration_.values.find(value);
      if (found == calibration_.values.end()) {
        return InvalidArgumentError("the calibration does not know the value " + Quoted(value));
      }
      const ValueRange range =
          ChooseRange(found->second.histogram, options_.calibrator, options_.percentile);
      scales_[value] = ScaleOf(range);
    }
    for (const QuantizationSite& site : sites) results_.insert(site.output);
    return OkStatus();
  }

  void WriteWeights(const QuantizationSite& site) {
    onnx::NodeProto* node = graph_->mutable_node(site.node);
    const onnx::TensorProto& tensor = *index_.ConstantOf(node->input(1));
    const std::vector<float> weights = FloatsOf(tensor).value();
    const AffineScale input = scales_.at(site.inputs[0]);
    WeightContext context{.channels = static_cast<std::size_t>(tensor.dims(0)),
                          .groups = static_cast<std::size_t>(IntegerOf(*node, "group", 1)),
                          .largest = options_.reduce_range ? 63 : 127};
    for (int i = 2; i < tensor.dims_size(); ++i) {
      context.taps *= static_cast<std::size_t>(tensor.dims(i));
    }
    if (options_.correct_bias) {
      context.input_means = calibration_.values.find(site.inputs[0])->second.means.Means();
    }
    std::vector<float> bias(context.channels, 0);
    if (node->input_size() > 2 && !node->input(2).empty()) {
      bias = FloatsOf(*index_.ConstantOf(node->input(2))).value();
    }
    for (const float b : bias) {
      context.least_scales.push_back(
          static_cast<float>(std::abs(b) / (input.scale * kLargestBias)));
    }
    const QuantizedWeights quantized = QuantizeWeights(weights, context);
    const std::vector<std::int64_t> dims(tensor.dims().begin(), tensor.dims().end());
    const std::vector<std::int8_t> zeros(context.channels, 0);
    node->set_input(1, Dequantized(site.name + "/weights", onnx::TensorProto::INT8, dims,
                                   Bytes(quantized.values), quantized.scales, Bytes(zeros)));
    WriteBias(site, input.scale, quantized, bias, node);
  }

  // Every value that a site reads or makes, between Q and DQ.
  void WriteActivations(const std::vector<QuantizationSite>& sites) {
    std::set<std::string> done;
    for (const QuantizationSite& site : sites) {
      if (done.insert(site.output).second) WrapResult(site.output);
    }
    for (const QuantizationSite& site : sites) {
      for (const std::string& input : site.inputs) {
        if (results_.contains(input)) continue;
        // Others read the float value that is there anyway.
        const std::string read = input + "/dequantized";
        if (done.insert(input).second) WriteQdq(input, input, read);
        graph_->mutable_node(site.node)->set_input(0, read);
      }
    }
  }

 private:
  template <typename T>
  static std::string_view Bytes(const std::vector<T>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
  }

  std::string AddConstant(onnx::TensorProto tensor) {
    std::string name = FreshName(index_, tensor.name());
    tensor.set_name(name);
    *graph_->add_initializer() = std::move(tensor);
    return name;
  }

  onnx::NodeProto* AddNode(const std::string& op, std::vector<std::string> inputs,
                           const std::string& output) {
    onnx::NodeProto* node = graph_->add_node();
    node->set_op_type(op);
    node->set_name(output + "/" + op);
    for (std::string& input : inputs) node->add_input(std::move(input));
    node->add_output(output);
    return node;
  }

  // Integers behind a DequantizeLinear along the first dimension; returns what it makes.
  std::string Dequantized(const std::string& name, onnx::TensorProto::DataType type,
                          const std::vector<std::int64_t>& dims, std::string_view values,
                          const std::vector<float>& scales, std::string_view zeros) {
    const std::int64_t channels = dims[0];
    const std::string integers = AddConstant(MakeTensor(name + "/integers", type, dims, values));
    const std::string scale = AddConstant(MakeFloats(name + "/scale", {&channels, 1}, scales));
    const std::string zero = AddConstant(MakeTensor(name + "/zero", type, {&channels, 1}, zeros));
    const std::string output = FreshName(index_, name + "/dequantized");
    SetInteger("axis", 0, AddNode("DequantizeLinear", {integers, scale, zero}, output));
    return output;
  }

  void WriteBias(const QuantizationSite& site, float input_scale, const QuantizedWeights& weights,
                 const std::vector<float>& bias, onnx::NodeProto* node) {
    std::vector<float> scales;
    std::vector<std::int32_t> values;
    for (std::size_t c = 0; c < bias.size(); ++c) {
      const double corrected = bias[c] + (options_.correct_bias ? weights.bias_error[c] : 0);
      scales.push_back(input_scale * weights.scales[c]);
      values.push_back(static_cast<std::int32_t>(std::clamp(
          std::nearbyint(corrected / scales[c]), -2.0 * kLargestBias + 1, 2.0 * kLargestBias - 1)));
    }
    const std::vector<std::int32_t> zeros(bias.size(), 0);
    while (node->input_size() < 3) node->add_input("");
    node->set_input(2, Dequantized(site.name + "/bias", onnx::TensorProto::INT32,
                                   {static_cast<std::int64_t>(bias.size())}, Bytes(values), scales,
                                   Bytes(zeros)));
  }

  void WriteQdq(const std::string& value, const std::string& from, const std::string& to) {
    const AffineScale scale = scales_.at(value);
    const std::string scale_name = AddConstant(MakeFloats(value + "/scale", {}, {&scale.scale, 1}));
    const char zero = static_cast<char>(scale.zero_point);
    const std::string zero_name =
        AddConstant(MakeTensor(value + "/zero", onnx::TensorProto::UINT8, {}, {&zero, 1}));
    const std::string integers = FreshName(index_, value + "/quantized");
    AddNode("QuantizeLinear", {from, scale_name, zero_name}, integers);
    AddNode("DequantizeLinear", {integers, scale_name, zero_name}, to);
  }

  // What makes the value makes "value/float" instead, so that all readers get the dequantised one.
  void WrapResult(const std::string& value) {
    const std::string made = FreshName(index_, value + "/float");
    for (onnx::NodeProto& node : *graph_->mutable_node()) {
      for (std::string& output : *node.mutable_output()) {
        if (output == value) output = made;
      }
    }
    WriteQdq(value, made, value);
  }

  const Calibration& calibration_;
  const QuantizeOptions& options_;
  onnx::GraphProto* graph_;
  GraphIndex index_;  // of the graph as it was: names taken, constants
  std::map<std::string, AffineScale> scales_;
  std::set<std::string> results_;
};

// The range of eight bits saturates where the Clip would; its reader's name moves to the site.
int RemoveClips(const std::vector<QuantizationSite>& sites, onnx::GraphProto* graph) {
  std::vector<bool> dead(static_cast<std::size_t>(graph->node_size()), false);
  int removed = 0;
  for (const QuantizationSite& site : sites) {
    if (site.clip < 0) continue;
    graph->mutable_node(site.node)->set_output(0, site.output);
    dead[static_cast<std::size_t>(site.clip)] = true;
    ++removed;
  }
  RemoveNodes(dead, graph);
  return removed;
}

}  // namespace

Result<QuantizeReport> Quantize(const Calibration& calibration, const QuantizeOptions& options,
                                onnx::ModelProto* model) {
  if (OpsetOf(*model) < kFirstOpset) {
    return Err(FailedPreconditionError(fmt::format(
        "the model is of opset {}, and weights with a scale per channel need {}; export it again",
        OpsetOf(*model), kFirstOpset)));
  }
  QuantizeReport report;
  // Clips first, so that the writer's index and node numbers are those of the graph it writes to.
  report.clips_removed = RemoveClips(FindSites(*model, options.keep_float), model->mutable_graph());
  const std::vector<QuantizationSite> sites = FindSites(*model, options.keep_float);
  model->mutable_graph()->clear_value_info();
  {
    // The writer reads constants through pointers, which adding to a repeated field keeps valid.
    QdqWriter writer(calibration, options, model->mutable_graph());
    SELVEDGE_RETURN_ERR_IF_ERROR(writer.Prepare(sites));
    for (const QuantizationSite& site : sites) {
      ++report.sites;
      if (!site.has_weights) continue;
      ++report.with_weights;
      writer.WriteWeights(site);
    }
    writer.WriteActivations(sites);
  }
  // What was written stands at the end, and dead code is told by the order of nodes.
  SELVEDGE_RETURN_ERR_IF_ERROR(SortNodes(model->mutable_graph()));
  RemoveDeadCode(model);
  return report;
}

}  // namespace selvedge
