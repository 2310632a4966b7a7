// A fleet in trouble, from a seed: it converges, and every event counts once.
// SELVEDGE_SIM_SEEDS=N runs N seeds in place of a few; SELVEDGE_SIM_SEED=N runs each of these with
// that seed instead; SELVEDGE_SIM_TRACE=device-4 prints every step of that node, "*" of all.

#include "sim/fleet_sim.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/log.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    // Where syncing costs nothing: no machine is cut off from its power here.
    const fs::path parent =
        fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path();
    std::string pattern = (parent / "selvedge-sim-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data()) == nullptr ? "" : pattern;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::uint64_t Seed(std::uint64_t otherwise) {
  const char* text = std::getenv("SELVEDGE_SIM_SEED");
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// How many seeds; `otherwise` where nobody asks for more.
int Seeds(int otherwise) {
  const char* text = std::getenv("SELVEDGE_SIM_SEEDS");
  return text == nullptr ? otherwise : std::max(1, std::atoi(text));
}

FleetSimReport RunOnce(FleetSimOptions options) {
  log::Configure(log::Level::kOff, log::Format::kText);
  const Folder folder;
  options.folder = folder.path();
  options.seed = Seed(options.seed);
  if (const char* trace = std::getenv("SELVEDGE_SIM_TRACE")) options.trace = trace;
  FleetSim sim(options);
  const std::string wrong = sim.Run();
  EXPECT_EQ(wrong, "");
  const FleetSimReport& report = sim.report();
  std::printf(
      "seed %llu: %llu steps, %d orders, %d refused, %d crashes, %d services run, events %llu in, "
      "%llu arrived, %llu dropped; settled %.0f s after the trouble\n",
      static_cast<unsigned long long>(options.seed), static_cast<unsigned long long>(report.steps),
      report.orders, report.refused, report.crashes, report.services,
      static_cast<unsigned long long>(report.events),
      static_cast<unsigned long long>(report.arrived),
      static_cast<unsigned long long>(report.dropped), ToSeconds(report.converged));
  return report;
}

class FleetSimSeeds : public testing::TestWithParam<int> {};

TEST_P(FleetSimSeeds, FiftyDevicesConvergeAndEveryEventCountsOnce) {
  const FleetSimReport report =
      RunOnce({.seed = static_cast<std::uint64_t>(GetParam()), .restores = 0});
  EXPECT_GT(report.orders, 0);
  EXPECT_GT(report.crashes, 0);
  EXPECT_GT(report.events, 100U);
}

TEST_P(FleetSimSeeds, FiftyDevicesConvergeAfterTheCloudIsRestoredFromABackup) {
  RunOnce({.seed = static_cast<std::uint64_t>(GetParam()) + 1000, .restores = 2});
}

INSTANTIATE_TEST_SUITE_P(Seeds, FleetSimSeeds, testing::Range(1, 1 + Seeds(5)));

class ThousandDevices : public testing::TestWithParam<int> {};

// Every third seed with a control plane that is put back from a backup.
TEST_P(ThousandDevices, Converge) {
  const int seed = GetParam();
  const FleetSimReport report = RunOnce({.seed = static_cast<std::uint64_t>(seed) + 2000,
                                         .devices = 1000,
                                         .devices_per_site = 50,
                                         .direct_devices = 20,
                                         .event_devices = 60,
                                         .trouble = 120 * kSecond,
                                         .state_interval = 30 * kSecond,
                                         .order_every = 5 * kSecond,
                                         .restores = seed % 3 == 0 ? 1 : 0,
                                         .crash_rate = 1.0 / 300,
                                         .cut_rate = 1.0 / 300});
  EXPECT_GT(report.orders, 0);
  EXPECT_GT(report.crashes, 100);
  EXPECT_GT(report.events, 1000U);
  if (seed % 3 != 0) {
    EXPECT_GT(report.services, 100);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ThousandDevices, testing::Range(1, 1 + Seeds(3)));

TEST(FleetSim, TheSameSeedIsTheSameRun) {
  const FleetSimOptions options{.seed = 7, .devices = 15, .devices_per_site = 6};
  const FleetSimReport first = RunOnce(options);
  const FleetSimReport second = RunOnce(options);
  EXPECT_EQ(first.fingerprint, second.fingerprint);
  EXPECT_EQ(first.steps, second.steps);
}

}  // namespace
}  // namespace selvedge
