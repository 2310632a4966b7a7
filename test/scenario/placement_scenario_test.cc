#include "placement_scenario.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>

#include "decide_scenario.h"

namespace selvedge::scenario {
namespace {

class PlacementScenario : public testing::TestWithParam<std::string> {};

TEST_P(PlacementScenario, PlacesAsItSays) {
  const Result<PlacementOutcome> outcome = RunPlacement(GetParam());
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_TRUE(outcome->passed) << outcome->report;
}

std::string NameOf(const testing::TestParamInfo<std::string>& info) {
  std::string name = std::filesystem::path(info.param).stem().string();
  std::ranges::replace_if(name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Files, PlacementScenario, testing::ValuesIn(List("placement")), NameOf);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(PlacementScenario);

TEST(PlacementSuite, HasScenarios) {
  EXPECT_GE(List("placement").size(), 20U) << "test/scenario/placement is missing files";
}

// The runner itself has to be able to fail.
TEST(PlacementSuite, WrongMissingAndUnexpectedVerdictsFail) {
  const auto passes = [](const std::string& placed) {
    const std::string path =
        testing::TempDir() + "placement-" + std::to_string(getpid()) + ".scenario";
    std::ofstream(path) << "--- devices\na arch=x86\nb arch=x86 gpu=1\n--- manifest\n"
                           "apiVersion: iofog.org/v3\nkind: Application\nmetadata: {name: app}\n"
                           "spec:\n  microservices: [{name: s, images: {any: 'pipeline:a:1'}}]\n"
                           "  placements: [{type: constraint, key: gpu, operator: exists}]\n"
                        << placed;
    const auto outcome = RunPlacement(path);
    EXPECT_TRUE(outcome) << outcome.error().ToString();
    return outcome && outcome->passed;
  };
  EXPECT_TRUE(passes("--- placed\napp on b\napp not on a: has no gpu\n"));
  EXPECT_FALSE(passes("--- placed\napp on b\n"));
  EXPECT_FALSE(passes("--- placed\napp on b\napp not on a: gpu is away\n"));
  EXPECT_FALSE(passes("--- placed\napp on b\napp on a\n"));
  EXPECT_FALSE(passes("--- placed\napp on b\napp not on a: has no gpu\napp on c\n"));
  EXPECT_FALSE(passes("--- refused\nm.yaml: no\n"));
}

}  // namespace
}  // namespace selvedge::scenario
