#include "engine/fake/fake_model.h"

#include <gtest/gtest.h>

#include <cstring>

#include "engine/fake/fake_backend.h"

namespace selvedge {
namespace {

constexpr std::string_view kDetector = R"(selvedge-fake-model 1
input image uint8 [1,4,4,3]   # a tiny picture
output boxes float32 [1,2,6] rows
rows 0 boxes 1 2 3 4 0.9 0
rows 2 boxes 5 6 7 8 0.8 1
)";

std::unique_ptr<Engine> Load(std::string_view text) {
  Result<std::unique_ptr<Engine>> engine =
      MakeFakeBackend()->Load(std::as_bytes(std::span(text)), EngineOptions{});
  EXPECT_TRUE(engine.has_value()) << engine.error().ToString();
  return engine ? *std::move(engine) : nullptr;
}

TEST(FakeModel, ScriptFollowsTheNumberOfRuns) {
  auto engine = Load(kDetector);
  auto execution = *engine->NewExecution();
  const auto first_x = [&] {
    EXPECT_TRUE(execution->Run().ok());
    return execution->outputs()[0].As<float>()[0];
  };
  EXPECT_EQ(first_x(), 1);
  EXPECT_EQ(first_x(), 0);  // key 1 has no rows
  EXPECT_EQ(first_x(), 5);
  EXPECT_EQ(first_x(), 0);
}

TEST(FakeModel, ScriptRepeatsWhereToldTo) {
  auto engine = Load(std::string(kDetector) + "repeat\n");
  auto execution = *engine->NewExecution();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(execution->Run().ok());
  EXPECT_EQ(execution->outputs()[0].As<float>()[0], 1);
}

TEST(FakeModel, KeyCanComeFromTheInput) {
  auto engine = Load(std::string(kDetector) + "key image\n");
  auto execution = *engine->NewExecution();
  execution->inputs()[0].As<std::uint8_t>()[0] = 2;
  ASSERT_TRUE(execution->Run().ok());
  EXPECT_EQ(execution->outputs()[0].As<float>()[0], 5);
  ASSERT_TRUE(execution->Run().ok());
  EXPECT_EQ(execution->outputs()[0].As<float>()[0], 5);
}

TEST(FakeModel, FailsAtTheRunItIsToldTo) {
  auto engine = Load(std::string(kDetector) + "fail 1 the chip fell off\n");
  auto execution = *engine->NewExecution();
  EXPECT_TRUE(execution->Run().ok());
  const Status status = execution->Run();
  EXPECT_EQ(status.code(), StatusCode::kInternal);
  EXPECT_NE(status.message().find("the chip fell off"), std::string::npos);
  EXPECT_TRUE(execution->Run().ok());
}

TEST(FakeModel, SumsAndFillsIntegersWithinTheirRange) {
  auto engine = Load(
      "selvedge-fake-model 1\ninput a uint8 [3]\noutput s uint8 [2] sum a\n"
      "output f int32 [1] fill -7\n");
  auto execution = *engine->NewExecution();
  std::ranges::fill(execution->inputs()[0].As<std::uint8_t>(), std::uint8_t{100});
  ASSERT_TRUE(execution->Run().ok());
  EXPECT_EQ(execution->outputs()[0].As<std::uint8_t>()[1], 255);
  EXPECT_EQ(execution->outputs()[1].As<std::int32_t>()[0], -7);
}

TEST(FakeModel, QuantisationIsDescribed) {
  auto engine =
      Load("selvedge-fake-model 1\ninput a int8 [3] quantised 0.5 -3\noutput s int8 [3] copy a\n");
  EXPECT_EQ(engine->Describe().inputs[0].scale, 0.5F);
  EXPECT_EQ(engine->Describe().inputs[0].zero_point, -3);
}

struct BadModel {
  const char* text;
  const char* complaint;
};

TEST(FakeModel, SaysWhichLineIsWrong) {
  const BadModel cases[] = {
      {"", "no output"},
      {"selvedge-fake-model 2\n", "line 1"},
      {"selvedge-fake-model 1\n", "no output"},
      {"selvedge-fake-model 1\nhello\n", "line 2: unknown statement \"hello\""},
      {"selvedge-fake-model 1\ninput a float99 [1]\n", "unknown type"},
      {"selvedge-fake-model 1\ninput a float32 [1,-2]\n", "a shape looks like"},
      {"selvedge-fake-model 1\ninput a float32 [1\n", "a shape looks like"},
      {"selvedge-fake-model 1\noutput a float32 [1]\n", "needs a function"},
      {"selvedge-fake-model 1\noutput a float32 [1] fill x\n", "one number"},
      {"selvedge-fake-model 1\noutput a float32 [1] copy b\n", "no input \"b\""},
      {"selvedge-fake-model 1\ninput b int8 [1]\noutput a float32 [1] copy b\n", "line 3: copy"},
      {"selvedge-fake-model 1\ninput b int8 [1]\noutput a int8 [1] add b b\n", "float32"},
      {"selvedge-fake-model 1\noutput a float32 [1] rows\nrows 0 a 1 2\n", "more numbers"},
      {"selvedge-fake-model 1\noutput a float32 [1] rows\nrows -1 a 1\n", "key"},
      {"selvedge-fake-model 1\noutput a float32 [1] fill 1\nbusy -1\n", "milliseconds"},
  };
  for (const BadModel& bad : cases) {
    Result<FakeModel> model = FakeModel::Parse(bad.text);
    ASSERT_FALSE(model.has_value()) << bad.text;
    EXPECT_EQ(model.error().code(), StatusCode::kInvalidArgument) << bad.text;
    EXPECT_NE(model.error().message().find(bad.complaint), std::string::npos)
        << model.error().message();
  }
}

}  // namespace
}  // namespace selvedge
