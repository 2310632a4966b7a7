#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <span>
#include <string>

#include "base/file.h"
#include "engine/tflite/tflite_backend.h"

namespace selvedge {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class EdgeTpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (Result<std::string> version = backend_->Probe(); !version) {
      GTEST_SKIP() << version.error().message();
    }
    setenv("SELVEDGE_ENGINE_PATH", EDGETPU_STAND_IN_FOLDER, 1);
  }
  void TearDown() override {
    unsetenv("SELVEDGE_ENGINE_PATH");
    unsetenv("EDGETPU_STAND_IN_FAILS");
  }

  Result<std::unique_ptr<Engine>> Load() const {
    const std::string path = std::string(SELVEDGE_SOURCE_DIR) + "/test/data/tflite/add.tflite";
    const std::string model = *ReadFile(path, 1 << 20);
    return backend_->Load(std::as_bytes(std::span(model)), {.device = "edgetpu"});
  }

  std::unique_ptr<EngineBackend> backend_ = MakeTfLiteBackend();
};

TEST_F(EdgeTpu, ADelegateOfThisNameIsADevice) {
  EXPECT_THAT(backend_->Devices(), Contains("edgetpu"));
  Result<std::unique_ptr<Engine>> engine = Load();
  ASSERT_TRUE(engine.has_value()) << engine.error().ToString();
  EXPECT_EQ((*engine)->Describe().device, "edgetpu");
  for (int i = 0; i < 2; ++i) {
    auto execution = *(*engine)->NewExecution();
    for (const TensorView& input : execution->inputs()) {
      std::ranges::fill(input.As<float>(), 2.0F);
    }
    ASSERT_TRUE(execution->Run().ok());
    EXPECT_THAT(execution->outputs()[0].As<float>(), ElementsAre(4, 4, 4, 4));
  }
}

TEST_F(EdgeTpu, ADelegateThatDoesNotStartIsUnavailable) {
  setenv("EDGETPU_STAND_IN_FAILS", "1", 1);
  Result<std::unique_ptr<Engine>> engine = Load();
  ASSERT_FALSE(engine.has_value());
  EXPECT_EQ(engine.error().code(), StatusCode::kUnavailable);
  EXPECT_THAT(engine.error().message(), HasSubstr("told to fail"));
}

TEST_F(EdgeTpu, WithoutTheRuntimeTheDeviceIsNotFound) {
  unsetenv("SELVEDGE_ENGINE_PATH");
  if (backend_->Devices().size() > 1) GTEST_SKIP() << "this machine has the Edge TPU runtime";
  Result<std::unique_ptr<Engine>> engine = Load();
  ASSERT_FALSE(engine.has_value());
  EXPECT_EQ(engine.error().code(), StatusCode::kNotFound);
  EXPECT_THAT(engine.error().message(), HasSubstr("libedgetpu.so"));
}

}  // namespace
}  // namespace selvedge

#if defined(SELVEDGE_SANITIZED)
// TensorFlow Lite keeps one byte of a delegate that did not start; it is not ours to free.
extern "C" const char*
__lsan_default_suppressions();  // NOLINT(bugprone-reserved-identifier): LeakSanitizer's name
extern "C" const char* __lsan_default_suppressions() {  // NOLINT(bugprone-reserved-identifier)
  return "leak:libjnitensorflowlite\n";
}
#endif
