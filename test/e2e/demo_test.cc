// The whole fleet on this machine, as `make demo` shows it, unattended.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "e2e/process.h"

namespace selvedge {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const std::string kRoot = SELVEDGE_SOURCE_DIR;
const std::string kVideo = kRoot + "/.deps/video/vtest.avi";

// Command lines of processes that name `text`.
std::vector<std::string> ProcessesWith(const std::string& text) {
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    std::string line = ReadWhole(entry.path().string() + "/cmdline");
    std::ranges::replace(line, '\0', ' ');
    if (line.find(text) != std::string::npos) found.push_back(line);
  }
  return found;
}

class DemoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kVideo)) GTEST_SKIP() << "the demo's video is not at " << kVideo;
    if (!std::filesystem::exists("/usr/sbin/mosquitto")) GTEST_SKIP() << "mosquitto is missing";
  }
  TemporaryFolder folder_;
};

TEST_F(DemoTest, EverythingWorksTogetherAndNothingIsLostOrDoubled) {
  Process demo("", {"demo", "--once", "--json", "--root", kRoot, "--state", folder_ / "fleet",
                    "--port", "0", "--seconds", "14", "--outage", "5"});
  ASSERT_EQ(demo.Wait(std::chrono::seconds(240)), 0) << demo.errors();
  const json metrics = json::parse(demo.output())["metrics"];
  EXPECT_EQ(metrics["devices"]["value"], 3) << demo.errors();
  EXPECT_EQ(metrics["events_lost"]["value"], 0) << demo.errors();
  EXPECT_EQ(metrics["events_doubled"]["value"], 0);
  EXPECT_GT(metrics["events"]["value"], 5);
  EXPECT_GT(metrics["events_caught_up"]["value"], 0);
  EXPECT_GT(metrics["frames_local"]["value"], 20);
  // Placement: the Jetson alone has what the first manifest asks for.
  EXPECT_THAT(demo.errors(), HasSubstr("jetson-1   runs it"));
  EXPECT_THAT(demo.errors(), HasSubstr("pi-1       no: "));
  EXPECT_TRUE(ProcessesWith(folder_ / "fleet").empty());
}

TEST_F(DemoTest, CtrlCLeavesNothingRunning) {
  Process demo("",
               {"demo", "--once", "--root", kRoot, "--state", folder_ / "fleet", "--port", "0"});
  ASSERT_TRUE(demo.WaitForError("pi-1 has joined", std::chrono::seconds(90))) << demo.errors();
  EXPECT_FALSE(ProcessesWith(folder_ / "fleet").empty());
  demo.Signal(SIGINT);
  EXPECT_EQ(demo.Wait(std::chrono::seconds(60)), 0) << demo.errors();
  EXPECT_THAT(demo.errors(), HasSubstr("nothing is left running"));
  EXPECT_TRUE(ProcessesWith(folder_ / "fleet").empty());
}

}  // namespace
}  // namespace selvedge
