// Real models on the real engines: two engines that share no code must agree.

#include "contract/engine_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"
#include "engine/backends/backends.h"

namespace selvedge {
namespace {

constexpr std::size_t kMostBytes = 100 << 20;

std::string SourcePath(const std::string& path) {
  return std::string(SELVEDGE_SOURCE_DIR) + "/" + path;
}

// Outputs of one Run, each as a vector, by name.
struct Answer {
  std::string missing;  // why there is none
  EngineInfo info;
  std::vector<std::vector<float>> outputs;

  const std::vector<float>& Output(const std::string& name) const {
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (info.outputs[i].name == name) return outputs[i];
    }
    ADD_FAILURE() << "no output " << name;
    return outputs[0];
  }
};

Answer Ask(const char* engine, const std::string& path, const EngineOptions& options = {}) {
  Answer answer;
  EngineBackend* backend = FindBackend(engine);
  if (Result<std::string> version = backend->Probe(); !version) {
    answer.missing = version.error().message();
    return answer;
  }
  Result<std::string> model = ReadFile(path, kMostBytes);
  if (!model) {
    answer.missing = model.error().message();
    return answer;
  }
  Result<std::unique_ptr<Engine>> loaded = backend->Load(AsBytes(*model), options);
  if (!loaded) {
    ADD_FAILURE() << loaded.error().ToString();
    answer.missing = loaded.error().message();
    return answer;
  }
  answer.info = (*loaded)->Describe();
  auto execution = *(*loaded)->NewExecution();
  std::mt19937 random(3);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same picture for every engine
  for (const TensorView& input : execution->inputs()) {
    for (float& v : input.As<float>()) v = static_cast<float>(random() % 2001) / 1000 - 1;
  }
  EXPECT_TRUE(execution->Run().ok());
  for (const TensorView& output : execution->outputs()) {
    const auto values = output.As<float>();
    answer.outputs.emplace_back(values.begin(), values.end());
  }
  return answer;
}

// Largest difference, relative to the largest value.
double Difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 1e-9;
  double difference = 0;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    largest = std::max<double>(largest, std::abs(a[i]));
    difference = std::max<double>(difference, std::abs(a[i] - b[i]));
  }
  return difference / largest;
}

TEST(RealModels, BlazeFaceIsTheSameOnTensorFlowLiteAndOpenVino) {
  const std::string path = SourcePath("test/data/tflite/blazeface-short-range.tflite");
  for (const int threads : {1, 2}) {
    const Answer tflite = Ask("tflite", path, {.threads = threads});
    if (!tflite.missing.empty()) GTEST_SKIP() << tflite.missing;
    const Answer openvino = Ask("openvino", path, {.threads = threads});
    if (!openvino.missing.empty()) GTEST_SKIP() << openvino.missing;
    ASSERT_EQ(tflite.info.inputs.size(), 1);
    EXPECT_EQ(tflite.info.inputs[0].ToString(), "input float32 [1,128,128,3]");
    EXPECT_EQ(openvino.info.inputs[0].ToString(), "input float32 [1,128,128,3]");
    for (const char* name : {"regressors", "classificators"}) {
      EXPECT_EQ(tflite.Output(name).size(), openvino.Output(name).size());
      EXPECT_LT(Difference(tflite.Output(name), openvino.Output(name)), 1e-3) << name;
      EXPECT_GT(tflite.Output(name).size(), 895);
    }
  }
}

TEST(RealModels, ThePersonDetectorIsTheSameOnOnnxRuntimeAndOpenVino) {
  const std::string path = SourcePath("assets/models/person-ssdlite-mobilenetv2.onnx");
  const Answer onnx = Ask("onnxruntime", path);
  if (!onnx.missing.empty()) GTEST_SKIP() << onnx.missing;
  const Answer openvino = Ask("openvino", path, {.precision = "fp32"});
  if (!openvino.missing.empty()) GTEST_SKIP() << openvino.missing;
  ASSERT_EQ(onnx.info.outputs.size(), 2);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(onnx.info.outputs[i].ToString(), openvino.info.outputs[i].ToString());
    EXPECT_LT(Difference(onnx.outputs[i], openvino.outputs[i]), 1e-3);
  }
}

TEST(RealModels, OpenVinoTellsThePrecisionInEffect) {
  const std::string path = SourcePath("assets/models/person-ssdlite-mobilenetv2.onnx");
  const Answer plain = Ask("openvino", path);
  if (!plain.missing.empty()) GTEST_SKIP() << plain.missing;
  EXPECT_EQ(plain.info.precision, "fp32") << "bf16 must be asked for";
  const Answer allowed = Ask("openvino", path, {.precision = "bf16"});
  // A processor without bf16 goes on in fp32, and says so.
  EXPECT_THAT(allowed.info.precision, ::testing::AnyOf("bf16", "fp32"));
  const double difference = Difference(plain.outputs[1], allowed.outputs[1]);
  if (allowed.info.precision == "fp32") {
    EXPECT_LT(difference, 1e-3);
  } else {
    EXPECT_GT(difference, 0);
  }
  EXPECT_EQ(FindBackend("openvino")
                ->Load(AsBytes(*ReadFile(path, kMostBytes)), {.precision = "fp12"})
                .error()
                .code(),
            StatusCode::kInvalidArgument);
}

TEST(RealModels, QuantisedTensorsTellTheirScale) {
  EngineBackend* backend = FindBackend("tflite");
  if (Result<std::string> version = backend->Probe(); !version) {
    GTEST_SKIP() << version.error().message();
  }
  const std::string model = *ReadFile(SourcePath("test/data/tflite/dequantise.tflite"), kMostBytes);
  auto engine = *backend->Load(AsBytes(model), {});
  const TensorSpec& input = engine->Describe().inputs[0];
  EXPECT_EQ(input.ToString(), "q uint8 [1,4]");
  EXPECT_EQ(input.scale, 0.5F);
  EXPECT_EQ(input.zero_point, 128);
  auto execution = *engine->NewExecution();
  std::ranges::copy(std::vector<std::uint8_t>{128, 130, 0, 255},
                    execution->inputs()[0].As<std::uint8_t>().begin());
  ASSERT_TRUE(execution->Run().ok());
  EXPECT_THAT(execution->outputs()[0].As<float>(), ::testing::ElementsAre(0, 1, -64, 63.5F));
}

TEST(RealModels, EveryEngineIsFoundByItsName) {
  for (EngineBackend* backend : AllBackends()) EXPECT_EQ(FindBackend(backend->name()), backend);
  EXPECT_EQ(FindBackend("abacus"), nullptr);
}

TEST(RealModels, AnEngineThatIsThereHasAnIdentity) {
  for (EngineBackend* backend : AllBackends()) {
    EXPECT_EQ(backend->Identity().empty(), !backend->Probe().has_value()) << backend->name();
  }
}

}  // namespace
}  // namespace selvedge
