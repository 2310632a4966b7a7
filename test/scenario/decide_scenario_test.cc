#include "decide_scenario.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>

namespace selvedge::scenario {
namespace {

class DecideScenario : public testing::TestWithParam<std::string> {};

TEST_P(DecideScenario, FiresWhatItSays) {
  const Result<Outcome> outcome = RunDecide(GetParam());
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_TRUE(outcome->passed) << outcome->report;
}

std::string NameOf(const testing::TestParamInfo<std::string>& info) {
  std::string name = std::filesystem::path(info.param).stem().string();
  std::ranges::replace_if(name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Files, DecideScenario, testing::ValuesIn(List("decide")), NameOf);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(
    DecideScenario);  // DecideSuite.HasScenarios says it better

TEST(DecideSuite, HasScenarios) {
  EXPECT_GE(List("decide").size(), 25U) << "test/scenario/decide is missing files";
}

class Written : public testing::Test {
 protected:
  std::string Write(const std::string& text) {
    // Tests run side by side, each in a process of its own.
    const std::string path =
        testing::TempDir() + "written-" + std::to_string(getpid()) + ".scenario";
    std::ofstream(path) << text;
    return path;
  }
  static constexpr const char* kRules =
      "--- rules\n"
      "zones: {left: {points: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}}\n"
      "rules: [{name: in, kind: zone, zone: left, settle_frames: 1}]\n"
      "--- frames\n";
};

// The runner itself has to be able to fail.
TEST_F(Written, WrongMissingAndUnexpectedFiringsFail) {
  const auto passes = [&](const std::string& frames) {
    const Result<Outcome> outcome = RunDecide(Write(kRules + frames));
    EXPECT_TRUE(outcome) << outcome.error().ToString();
    return outcome && outcome->passed;
  };
  EXPECT_TRUE(passes("0.0 #1 10,50 => in enter #1\n"));
  EXPECT_TRUE(passes("0.0 #1 10,50 => in enter #1 0.9/0.5\n"));
  EXPECT_TRUE(passes("0..1/0.1 #1 0,50>100,50 => @0 in enter #1; @0.6 in leave #1\n"));
  EXPECT_FALSE(passes("0.0 #1 10,50\n")) << "fired unexpectedly";
  EXPECT_FALSE(passes("0.0 #1 90,50 => in enter #1\n")) << "did not fire";
  EXPECT_FALSE(passes("0.0 #1 10,50 => in enter #2\n"));
  EXPECT_FALSE(passes("0.0 #1 10,50 => in enter #1 0.8/0.5\n"));
  EXPECT_FALSE(passes("0.0 #1 10,50 => in enter #1; in enter #1\n"));
  EXPECT_FALSE(passes("0..1/0.1 #1 0,50>100,50 => @0 in enter #1; @0.7 in leave #1\n"));
}

TEST_F(Written, ReportShowsBothSidesAndTheLine) {
  const Result<Outcome> outcome =
      RunDecide(Write(kRules + std::string("0.0 #1 10,50 => in leave #1\n")));
  ASSERT_TRUE(outcome);
  EXPECT_NE(outcome->report.find("! line 5 "), std::string::npos) << outcome->report;
  EXPECT_NE(outcome->report.find("in leave #1"), std::string::npos);
  EXPECT_NE(outcome->report.find("| in enter #1 0.9/0.5"), std::string::npos);
}

TEST_F(Written, ScenariosThatCannotBeReadAreErrors) {
  for (const std::string text :
       {"", "--- rules\n", "--- frame\n", "--- rules\n--- frames\nsoon #1 2,3\n",
        "--- rules\n--- frames\n0.0 #1\n", "--- rules\n--- frames\n0.0 #1 2;3\n",
        "--- rules\n--- frames\n0.0 #1 2,3 dragon\n",
        "--- rules\n--- frames\n0..1/0.1 => in enter\n",
        "--- rules\nruels: []\n--- frames\n0.0\n"}) {
    EXPECT_FALSE(RunDecide(Write(text))) << text;
  }
  EXPECT_FALSE(RunDecide("/nowhere/a.scenario"));
}

}  // namespace
}  // namespace selvedge::scenario
