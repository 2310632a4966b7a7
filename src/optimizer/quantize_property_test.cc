// Quantised models in real engines: close to the float model, fused, the same bytes every time.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "engine/backends/backends.h"
#include "optimizer/graph_run.h"
#include "optimizer/graph_testing.h"
#include "optimizer/import.h"
#include "optimizer/passes.h"
#include "optimizer/quantize.h"

namespace selvedge {
namespace {

using testing::HasSubstr;

// Smooth pictures of noise in -1..1: a model trained on photographs answers to them, too.
class NoiseFeed : public CalibrationFeed {
 public:
  explicit NoiseFeed(int pictures, unsigned seed = 1) : pictures_(pictures), seed_(seed) {}
  Status Rewind() override {
    next_ = 0;
    return OkStatus();
  }
  Result<bool> Next(std::span<const TensorView> inputs) override {
    if (next_ == pictures_) return false;
    std::mt19937 random(seed_ * 1000 + static_cast<unsigned>(next_++));
    std::uniform_real_distribution<float> uniform(-1, 1);
    float level = 0;
    for (float& value : inputs[0].As<float>()) {
      level = 0.95F * level + 0.3F * uniform(random);
      value = std::clamp(level, -1.0F, 1.0F);
    }
    return true;
  }

 private:
  int pictures_;
  unsigned seed_;
  int next_ = 0;
};

onnx::ModelProto Shipped() {
  auto model = LoadOnnx(SELVEDGE_SOURCE_DIR "/assets/models/person-ssdlite-mobilenetv2.onnx");
  EXPECT_TRUE(model.has_value());
  EXPECT_TRUE(Simplify(FindBackend("onnxruntime"), &*model).has_value());
  return *model;
}

Calibration CalibrateShipped(onnx::ModelProto* model, const CalibrationOptions& options = {}) {
  NoiseFeed feed(4);
  auto calibration = Calibrate(FindBackend("onnxruntime"), model,
                               ValuesToObserve(FindSites(*model, {})), &feed, options);
  EXPECT_TRUE(calibration.has_value()) << calibration.error().message();
  return *std::move(calibration);
}

std::vector<std::vector<float>> OutputsOf(onnx::ModelProto model, const std::string& backend,
                                          NoiseFeed feed) {
  std::vector<std::string> names;
  for (const auto& output : model.graph().output()) names.push_back(output.name());
  auto run = GraphRun::Load(FindBackend(backend), &model, names);
  EXPECT_TRUE(run.has_value()) << run.error().message();
  std::vector<std::vector<float>> outputs(names.size());
  if (!run) return outputs;
  while (feed.Next(run->inputs()).value()) {
    EXPECT_TRUE(run->Run().ok());
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::span<float> values = run->value(i).As<float>();
      outputs[i].insert(outputs[i].end(), values.begin(), values.end());
    }
  }
  return outputs;
}

// 10 log10 of the signal's power over the error's.
double SnrDb(const std::vector<float>& exact, const std::vector<float>& rough) {
  double signal = 0;
  double noise = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    signal += static_cast<double>(exact[i]) * exact[i];
    noise += (static_cast<double>(exact[i]) - rough[i]) * (exact[i] - rough[i]);
  }
  return 10 * std::log10(signal / std::max(noise, 1e-30));
}

int CountOf(const onnx::ModelProto& model, const std::string& op) {
  return static_cast<int>(std::ranges::count(model.graph().node(), op, &onnx::NodeProto::op_type));
}

bool Here(const std::string& backend) {
  return FindBackend(backend)->Probe().has_value();
}

TEST(QuantizeProperty, TheShippedModelStaysCloseInEveryEngine) {
  if (!Here("onnxruntime")) GTEST_SKIP() << "ONNX Runtime is not on this machine";
  onnx::ModelProto model = Shipped();
  const Calibration calibration = CalibrateShipped(&model);
  EXPECT_EQ(calibration.pictures, 4);
  onnx::ModelProto quantized = model;
  const auto report =
      Quantize(calibration, {.reduce_range = true, .keep_float = UsuallyFloat(model)}, &quantized);
  ASSERT_TRUE(report.has_value()) << report.error().message();
  EXPECT_EQ(report->with_weights, 88 - 3 - 12);  // but for the first three and the heads
  EXPECT_EQ(report->sites - report->with_weights, 10) << "Add";
  EXPECT_LT(Serialize(quantized).size(), Serialize(model).size() * 35 / 100);
  const auto exact = OutputsOf(model, "onnxruntime", NoiseFeed(2, 9));
  for (const char* backend : {"onnxruntime", "openvino"}) {
    if (!Here(backend)) continue;
    const auto rough = OutputsOf(quantized, backend, NoiseFeed(2, 9));
    for (std::size_t i = 0; i < exact.size(); ++i) {
      EXPECT_GT(SnrDb(exact[i], rough[i]), 14) << backend << ", output " << i;
    }
  }
}

TEST(QuantizeProperty, TheSameInputGivesTheSameBytes) {
  if (!Here("onnxruntime")) GTEST_SKIP() << "ONNX Runtime is not on this machine";
  std::vector<std::string> files;
  for (int i = 0; i < 2; ++i) {
    onnx::ModelProto model = Shipped();
    const Calibration calibration = CalibrateShipped(&model);
    ASSERT_TRUE(Quantize(calibration, {}, &model).has_value());
    files.push_back(Serialize(model));
  }
  EXPECT_TRUE(files[0] == files[1]);
}

TEST(QuantizeProperty, SlicesSeeWhatOneRunSees) {
  if (!Here("onnxruntime")) GTEST_SKIP() << "ONNX Runtime is not on this machine";
  onnx::ModelProto model = Shipped();
  const Calibration whole = CalibrateShipped(&model);
  const Calibration sliced = CalibrateShipped(&model, {.slice_bytes = std::size_t{12} << 20U});
  EXPECT_EQ(whole.slices, 1);
  EXPECT_GT(sliced.slices, 2);
  ASSERT_EQ(whole.values.size(), sliced.values.size());
  for (const auto& [name, observation] : whole.values) {
    const Histogram& other = sliced.values.find(name)->second.histogram;
    EXPECT_EQ(observation.histogram.total(), other.total()) << name;
    EXPECT_NEAR(observation.histogram.highest(), other.highest(),
                1e-3 * std::abs(observation.histogram.highest()) + 1e-4)
        << name;
  }
}

TEST(QuantizeProperty, ReadersOfAResultReadTheDequantisedValueAndClipsGo) {
  GraphMaker maker;
  maker.Input("x", {1, 2, 4, 4});
  maker.Floats("w", {2, 2, 1, 1}, {1, 0.5F, -1, 2});
  maker.Floats("low", {}, {0});
  maker.Floats("high", {}, {6});
  maker.Node("Conv", {"x", "w"}, "a");
  maker.Node("Clip", {"a", "low", "high"}, "b");
  maker.Node("Conv", {"b", "w"}, "c");
  maker.Node("Sigmoid", {"b"}, "d");
  maker.Node("Add", {"b", "c"}, "y");
  maker.Output("y");
  maker.Output("d");
  onnx::ModelProto model = maker.model();
  if (!Here("onnxruntime")) GTEST_SKIP() << "ONNX Runtime is not on this machine";
  NoiseFeed feed(3);
  const auto sites = FindSites(model, {});
  ASSERT_EQ(sites.size(), 3U);
  EXPECT_EQ(sites[0].output, "b");
  auto calibration = Calibrate(FindBackend("onnxruntime"), &model, ValuesToObserve(sites), &feed);
  ASSERT_TRUE(calibration.has_value()) << calibration.error().message();
  ASSERT_TRUE(Quantize(*calibration, {}, &model).has_value());
  EXPECT_EQ(CountOf(model, "Clip"), 0);
  EXPECT_EQ(CountOf(model, "QuantizeLinear"), 4);        // x, b, c, y
  EXPECT_EQ(CountOf(model, "DequantizeLinear"), 4 + 4);  // and two weights, two biases
  const GraphIndex index(model.graph());
  for (const char* value : {"b", "c", "y"}) {
    const int maker_of = index.ProducerOf(value);
    ASSERT_GE(maker_of, 0);
    EXPECT_EQ(model.graph().node(maker_of).op_type(), "DequantizeLinear") << value;
  }
  const auto exact = OutputsOf(maker.model(), "onnxruntime", NoiseFeed(3));
  const auto rough = OutputsOf(model, "onnxruntime", NoiseFeed(3));
  for (std::size_t i = 0; i < exact.size(); ++i) EXPECT_GT(SnrDb(exact[i], rough[i]), 30);
}

TEST(QuantizeProperty, WhatCannotBeDoneIsSaidInOneSentence) {
  if (!Here("onnxruntime")) GTEST_SKIP() << "ONNX Runtime is not on this machine";
  GraphMaker maker;
  maker.Input("x", {1, 2, 4, 4});
  maker.Floats("w", {2, 2, 1, 1}, {1, 0.5F, -1, 2});
  maker.Node("Conv", {"x", "w"}, "y");
  maker.Output("y");
  onnx::ModelProto model = maker.model();
  const auto uncalibrated = Quantize({}, {}, &model);
  ASSERT_FALSE(uncalibrated.has_value());
  EXPECT_THAT(uncalibrated.error().message(), HasSubstr("does not know the value"));
  model.mutable_opset_import(0)->set_version(11);
  const auto old = Quantize({}, {}, &model);
  ASSERT_FALSE(old.has_value());
  EXPECT_THAT(old.error().message(), HasSubstr("opset 11"));
  NoiseFeed nothing(0);
  const auto empty = Calibrate(FindBackend("onnxruntime"), &model, {"x"}, &nothing);
  ASSERT_FALSE(empty.has_value());
  EXPECT_THAT(empty.error().message(), HasSubstr("no picture to calibrate with"));
}

}  // namespace
}  // namespace selvedge
