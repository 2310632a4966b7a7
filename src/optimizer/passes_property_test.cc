// Each pass leaves a graph that computes the same: generated graphs, and the shipped model, run in
// a real engine before and after.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "engine/backends/backends.h"
#include "optimizer/fold_constants.h"
#include "optimizer/graph_run.h"
#include "optimizer/graph_testing.h"
#include "optimizer/import.h"
#include "optimizer/passes.h"

namespace selvedge {
namespace {

using Outputs = std::map<std::string, std::vector<float>>;

EngineBackend* Backend() {
  return FindBackend("onnxruntime");
}

int CountOf(const onnx::ModelProto& model, const std::string& op) {
  return static_cast<int>(std::ranges::count(model.graph().node(), op, &onnx::NodeProto::op_type));
}

// The model's float outputs for inputs made of `seed`.
Outputs RunModel(onnx::ModelProto model, unsigned seed) {
  auto run = GraphRun::Load(Backend(), &model, {});
  EXPECT_TRUE(run.has_value()) << run.error().message();
  if (!run) return {};
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-2, 2);
  for (const TensorView& input : run->inputs()) {
    for (float& value : input.As<float>()) value = uniform(random);
  }
  EXPECT_TRUE(run->Run().ok());
  Outputs outputs;
  for (const TensorSpec& spec : run->info().outputs) outputs[spec.name] = {};
  std::vector<std::string> names;
  for (const TensorSpec& spec : run->info().outputs) names.push_back(spec.name);
  auto again = GraphRun::Load(Backend(), &model, names);
  EXPECT_TRUE(again.has_value());
  if (!again) return {};
  for (std::size_t i = 0; i < run->inputs().size(); ++i) {
    std::memcpy(again->inputs()[i].data, run->inputs()[i].data, run->inputs()[i].bytes);
  }
  EXPECT_TRUE(again->Run().ok());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::span<float> values = again->value(i).As<float>();
    outputs[names[i]].assign(values.begin(), values.end());
  }
  return outputs;
}

void ExpectSame(const Outputs& before, const Outputs& after, const std::string& what) {
  ASSERT_EQ(before.size(), after.size()) << what;
  for (const auto& [name, values] : before) {
    ASSERT_TRUE(after.contains(name)) << what << ": output " << name << " is gone";
    const std::vector<float>& others = after.at(name);
    ASSERT_EQ(values.size(), others.size()) << what << ": " << name;
    float largest = 1;
    for (const float value : values) largest = std::max(largest, std::abs(value));
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(values[i], others[i], 2e-5F * largest) << what << ": " << name << " at " << i;
    }
  }
}

// Random graphs of what the passes look for, between an input [1,4,5,5] and one or two outputs.
class GraphGenerator {
 public:
  explicit GraphGenerator(unsigned seed) : random_(seed) {
    maker_.Input("x", {1, 4, 5, 5});
    values_ = {{"x", 4}};
  }

  onnx::ModelProto Make() {
    maker_.Node("Conv", {"x", Weights({4, 4, 1, 1})}, "stem");
    values_.push_back({"stem", 4});
    const int steps = 4 + Below(9);
    for (int i = 0; i < steps; ++i) Step();
    maker_.Output(values_.back().name);
    const Value& other =
        values_[1 + static_cast<std::size_t>(Below(static_cast<int>(values_.size()) - 1))];
    if (Below(2) == 0 && other.name != values_.back().name) maker_.Output(other.name);
    return maker_.model();
  }

 private:
  struct Value {
    std::string name;
    int channels;
  };

  int Below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  std::vector<float> Numbers(int count, float low, float high) {
    std::uniform_real_distribution<float> uniform(low, high);
    std::vector<float> numbers(static_cast<std::size_t>(count));
    for (float& number : numbers) number = uniform(random_);
    return numbers;
  }
  std::string Constant(const std::vector<std::int64_t>& dims, float low, float high) {
    int count = 1;
    for (const std::int64_t dim : dims) count *= static_cast<int>(dim);
    const std::string name = "c" + std::to_string(++constants_);
    maker_.Floats(name, dims, Numbers(count, low, high));
    return name;
  }
  std::string Weights(const std::vector<std::int64_t>& dims) { return Constant(dims, -1, 1); }

  void Step() {
    // Mostly the newest value, so that chains form.
    const Value from =
        Below(4) != 0 ? values_.back()
                      : values_[static_cast<std::size_t>(Below(static_cast<int>(values_.size())))];
    const std::string out = "v" + std::to_string(values_.size());
    int channels = from.channels;
    switch (Below(10)) {
      case 0:
      case 1:
        channels = 2 + Below(4);
        Convolve(from, channels, out);
        break;
      case 2:
      case 3: Norm(from, out); break;
      case 4: maker_.Node("Relu", {from.name}, out); break;
      case 5: Clip(from, out); break;
      case 6: maker_.Node(Below(2) == 0 ? "Identity" : "Dropout", {from.name}, out); break;
      case 7: Cast(from, out); break;
      case 8: Reshape(from, out); break;
      default: maker_.Node("Add", {from.name, from.name}, out);
    }
    values_.push_back({out, channels});
  }
  void Convolve(const Value& from, int channels, const std::string& out) {
    std::vector<std::string> inputs = {from.name, Weights({channels, from.channels, 1, 1})};
    if (Below(2) == 0) inputs.push_back(Weights({channels}));
    maker_.Node("Conv", inputs, out);
  }
  void Norm(const Value& from, const std::string& out) {
    const std::vector<std::int64_t> dims = {from.channels};
    maker_.Node("BatchNormalization",
                {from.name, Constant(dims, 0.5F, 2), Constant(dims, -1, 1), Constant(dims, -1, 1),
                 Constant(dims, 0.1F, 2)},
                out);
  }
  void Clip(const Value& from, const std::string& out) {
    const float low = Numbers(1, -1, 0.5F)[0];
    maker_.Floats(out + "low", {}, {low});
    maker_.Floats(out + "high", {}, {low + Numbers(1, 0, 2)[0]});
    const int kind = Below(3);
    if (kind == 0) {
      maker_.Node("Clip", {from.name, out + "low", out + "high"}, out);
    } else if (kind == 1) {
      maker_.Node("Clip", {from.name, "", out + "high"}, out);
    } else {
      maker_.Node("Clip", {from.name, out + "low"}, out);
    }
  }
  void Cast(const Value& from, const std::string& out) {
    SetInteger("to", onnx::TensorProto::FLOAT, maker_.Node("Cast", {from.name}, out + "first"));
    SetInteger("to", onnx::TensorProto::FLOAT, maker_.Node("Cast", {out + "first"}, out));
  }
  // To the shape that it has, or there by way of another; the target constant or computed.
  void Reshape(const Value& from, const std::string& out) {
    maker_.Integers(out + "flat", {1, -1});
    if (Below(2) == 0) {
      maker_.Integers(out + "back", {1, from.channels, 5, 5});
    } else {
      maker_.Node("Shape", {from.name}, out + "shape");
      maker_.Integers(out + "order", {0, 1, 2, 3});
      maker_.Node("Gather", {out + "shape", out + "order"}, out + "back");
    }
    std::string middle = from.name;
    if (Below(2) == 0) {
      middle = out + "middle";
      maker_.Node("Reshape", {from.name, out + "flat"}, middle);
    }
    maker_.Node("Reshape", {middle, out + "back"}, out);
  }

  std::mt19937 random_;
  GraphMaker maker_;
  std::vector<Value> values_;
  int constants_ = 0;
};

using Pass = std::function<int(onnx::ModelProto*)>;

const std::vector<std::pair<std::string, Pass>>& Passes() {
  static const auto& passes = *new std::vector<std::pair<std::string, Pass>>{
      {"RemoveDeadCode", RemoveDeadCode},
      {"RemoveNoOps", RemoveNoOps},
      {"MergeClips", MergeClips},
      {"FoldBatchNorms", FoldBatchNorms},
      {"FoldConstants",
       [](onnx::ModelProto* model) { return FoldConstants(Backend(), model).value(); }},
      {"RemoveNeedlessReshapes",
       [](onnx::ModelProto* model) { return RemoveNeedlessReshapes(Backend(), model).value(); }},
      {"Simplify", [](onnx::ModelProto* model) {
         const SimplifyReport report = Simplify(Backend(), model).value();
         return report.constants + report.reshapes + report.no_ops + report.batch_norms +
                report.clips;
       }}};
  return passes;
}

bool EngineIsHere() {
  return Backend()->Probe().has_value();
}

TEST(PassesProperty, EachComputesTheSameAndIsDoneAtOnce) {
  if (!EngineIsHere()) GTEST_SKIP() << "ONNX Runtime is not on this machine";
  std::map<std::string, int> removed;
  for (unsigned seed = 1; seed <= 40; ++seed) {
    const onnx::ModelProto model = GraphGenerator(seed).Make();
    const Outputs before = RunModel(model, seed);
    for (const auto& [name, pass] : Passes()) {
      onnx::ModelProto changed = model;
      removed[name] += pass(&changed);
      const std::string what = name + " with seed " + std::to_string(seed);
      const std::string bytes = Serialize(changed);
      const auto sound = ImportOnnx(std::as_bytes(std::span(bytes)));
      ASSERT_TRUE(sound.has_value()) << what << ": " << sound.error().message();
      ExpectSame(before, RunModel(changed, seed), what);
      // What one run makes room for, such as dead code, the next may take; then all is quiet.
      EXPECT_EQ(pass(&changed), 0) << what << " finds more at the second time";
    }
  }
  for (const auto& [name, pass] : Passes()) {
    EXPECT_GT(removed[name], 0) << name << " had nothing to do in any graph";
  }
}

TEST(PassesProperty, TheShippedModelLosesItsShapesAndItsLastBatchNorms) {
  if (!EngineIsHere()) GTEST_SKIP() << "ONNX Runtime is not on this machine";
  auto model = LoadOnnx(SELVEDGE_SOURCE_DIR "/assets/models/person-ssdlite-mobilenetv2.onnx");
  ASSERT_TRUE(model.has_value()) << model.error().message();
  const Outputs before = RunModel(*model, 7);
  const auto report = Simplify(Backend(), &*model);
  ASSERT_TRUE(report.has_value()) << report.error().message();
  EXPECT_EQ(report->batch_norms, 4);
  EXPECT_EQ(report->reshapes, 8);
  for (const char* gone : {"Shape", "Gather", "Slice", "Cast", "BatchNormalization"}) {
    EXPECT_EQ(CountOf(*model, gone), 0) << gone;
  }
  EXPECT_EQ(CountOf(*model, "Conv"), 88);
  EXPECT_EQ(CountOf(*model, "Clip"), 59);
  ExpectSame(before, RunModel(*model, 7), "Simplify");
}

TEST(PassesProperty, ShapesMadeOfDataStay) {
  GraphMaker maker;
  maker.Input("x", {1, 6});
  maker.Node("NonZero", {"x"}, "where");
  maker.Node("Shape", {"where"}, "count");
  SetInteger("to", onnx::TensorProto::FLOAT, maker.Node("Cast", {"count"}, "y"));
  maker.Output("y");
  SetInteger("to", onnx::TensorProto::INT64, maker.Node("Cast", {"x"}, "target"));
  maker.Node("Reshape", {"x", "target"}, "reshaped");
  maker.Output("reshaped");
  maker.Integers("fixed", {6});
  maker.Node("Reshape", {"x", "fixed"}, "flat");
  maker.Output("flat");
  const StaticValues values = FindStaticValues(maker.model());
  EXPECT_TRUE(values.shapes.contains("flat"));
  EXPECT_FALSE(values.shapes.contains("reshaped")) << "its sizes are data";
  EXPECT_FALSE(values.shapes.contains("where"));
  EXPECT_FALSE(values.constants.contains("count"));
  EXPECT_TRUE(values.shapes.contains("x"));
}

TEST(PassesProperty, ABatchNormThatIsNotAloneOrTrainsStays) {
  for (const bool trains : {false, true}) {
    GraphMaker maker;
    maker.Input("x", {1, 2, 3, 3});
    maker.Floats("w", {2, 2, 1, 1}, {1, 2, 3, 4});
    maker.Floats("p", {2}, {1, 2});
    maker.Node("Conv", {"x", "w"}, "a");
    onnx::NodeProto* norm = maker.Node("BatchNormalization", {"a", "p", "p", "p", "p"}, "b");
    if (trains) SetInteger("training_mode", 1, norm);
    maker.Output("b");
    if (!trains) maker.Output("a");
    EXPECT_EQ(FoldBatchNorms(maker.mutable_model()), 0);
    EXPECT_EQ(CountOf(maker.model(), "BatchNormalization"), 1);
  }
}

}  // namespace
}  // namespace selvedge
