// The agent as a process, where the device it runs on is in trouble: no clock, no disk, a pipeline
// that hangs, limits.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "test_device.h"

namespace selvedge {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

// The queue holds what a busy machine comes to late: none is dropped.
constexpr char kEveryFrame[] =
    "source: {uri: \"test://?width=64&height=48&fps=10&frames=0\"}\n"
    "queue: {capacity: 300}\n"
    "events: {path: frames.jsonl, every_frame: true}\n";
constexpr char kQuiet[] = "source: {uri: \"test://?width=64&height=48&fps=10&frames=0\"}\n";

bool Runs(const v1::ServiceStatus& service) {
  return service.state() == v1::RUNNING && service.pipeline().ready();
}

std::string Content(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

class AgentTrouble : public ::testing::Test {
 protected:
  AgentTrouble() : site_(&fleet_) {}
  void TearDown() override {
    agent_.reset();
    if (disk_.empty()) return;
    EXPECT_EQ(umount(disk_.c_str()), 0) << std::strerror(errno);
  }
  AgentProcess& Agent(const std::string& state) {
    agent_.emplace(state, fleet_ / "agent.out");
    WriteIdentity(state, &fleet_, site_);
    return *agent_;
  }
  // A disk of its own; false where that is not allowed.
  bool MountDisk(const char* size) {
    const std::string folder = fleet_ / "disk";
    fs::create_directory(folder);
    if (mount("tmpfs", folder.c_str(), "tmpfs", 0, size) != 0) return false;
    disk_ = folder;
    return true;
  }
  void FillDisk() const {
    std::ofstream filler(disk_ + "/filler", std::ios::binary);
    const std::string block(4096, 'x');
    while (filler.write(block.data(), 4096).flush()) {
    }
  }

  TestFleet fleet_;
  FakeSite site_;
  std::optional<AgentProcess> agent_;
  std::string disk_;
};

TEST_F(AgentTrouble, ADeviceThatBootsIn1970JoinsInAndWorks) {
  site_.Want({site_.Service(site_.Push("1", kEveryFrame))});
  AgentProcess& agent = Agent(fleet_ / "device");
  agent.Start({}, {std::string("LD_PRELOAD=") + SELVEDGE_CLOCK_OF_1970});
  ASSERT_TRUE(site_.AwaitService(Runs));
  // It did not know better.
  EXPECT_LT(site_.state().time_unix_ns(), 3600 * kSecond);
  ASSERT_TRUE(site_.AwaitEvents(20));
  EXPECT_EQ(agent.Terminate(), 0);
  site_.ExpectNoFrameMissing();
}

TEST_F(AgentTrouble, AFullDiskIsSaidAndNothingIsLostUntilThereIsRoom) {
  if (!MountDisk("size=96m")) {
    GTEST_SKIP() << "a small disk cannot be mounted here: " << std::strerror(errno);
  }
  const v1::ServiceSpec first = site_.Service(site_.Push("1", kEveryFrame));
  const v1::ServiceSpec other = site_.Service(site_.Push("2", kQuiet), "other");
  site_.Want({first});
  std::ofstream(fleet_ / "agent.yaml") << "keep_free_bytes: 1048576\n";
  AgentProcess& agent = Agent(disk_ + "/device");
  agent.Start({"--config", fleet_ / "agent.yaml"});
  ASSERT_TRUE(site_.AwaitService(Runs));
  ASSERT_TRUE(site_.AwaitEvents(10));
  const std::set<pid_t> running = agent.Services();
  FillDisk();
  site_.Want({first, other});
  // A document that cannot be written down is not acted on, and what runs goes on.
  ASSERT_TRUE(site_.AwaitState([](const v1::State& state) {
    return state.trouble().find("cannot be written down") != std::string::npos;
  })) << site_.state().ShortDebugString();
  EXPECT_EQ(site_.state().generation(), 1U);
  EXPECT_EQ(site_.state().services_size(), 1);
  EXPECT_EQ(agent.Services(), running);
  fs::remove(disk_ + "/filler");
  ASSERT_TRUE(site_.AwaitState([](const v1::State& state) {
    return state.generation() == 2 && state.services_size() == 2 && Runs(state.services(0)) &&
           Runs(state.services(1)) && state.trouble().empty();
  })) << site_.state().ShortDebugString();
  EXPECT_TRUE(std::ranges::includes(agent.Services(), running));
  ASSERT_TRUE(site_.AwaitEvents(site_.events().size() + 20));
  EXPECT_EQ(agent.Terminate(), 0);
  site_.ExpectNoFrameMissing();
}

TEST_F(AgentTrouble, NothingIsDownloadedIntoWhatIsToStayFree) {
  const v1::ServiceSpec service = site_.Service(site_.Push("1", kQuiet));
  site_.Want({service});
  std::ofstream(fleet_ / "agent.yaml") << "keep_free_bytes: 10000000000000\n";
  AgentProcess& agent = Agent(fleet_ / "device");
  agent.Start({"--config", fleet_ / "agent.yaml"});
  ASSERT_TRUE(site_.AwaitService(
      [](const v1::ServiceStatus& status) { return status.state() == v1::FAILING; }));
  EXPECT_THAT(site_.state().services(0).message(), HasSubstr("are to stay free"));
  EXPECT_TRUE(fs::is_empty(agent.state() + "/packages"));
}

TEST_F(AgentTrouble, APipelineThatHangsIsKilledAndStartedAgain) {
  site_.Want({site_.Service(site_.Push("1", kQuiet))});
  AgentProcess& agent = Agent(fleet_ / "device");
  agent.Start();
  ASSERT_TRUE(site_.AwaitService(Runs));
  const std::set<pid_t> hanging = agent.Services();
  ASSERT_EQ(hanging.size(), 1U);
  kill(*hanging.begin(), SIGSTOP);
  ASSERT_TRUE(site_.AwaitService([](const v1::ServiceStatus& status) {
    return status.message().find("nothing was heard of it") != std::string::npos;
  })) << site_.state().ShortDebugString();
  ASSERT_TRUE(site_.AwaitService([](const v1::ServiceStatus& status) {
    return status.restarts() == 1 && Runs(status);
  })) << site_.state().ShortDebugString();
  EXPECT_EQ(agent.Services().size(), 1U);
  EXPECT_NE(agent.Services(), hanging);
}

TEST_F(AgentTrouble, LimitsOfAPipelineAreThoseOfTheKernel) {
  v1::ServiceSpec service = site_.Service(site_.Push("1", kQuiet));
  service.mutable_resources()->set_memory_bytes(std::uint64_t{512} << 20);
  service.mutable_resources()->set_cpus(0.75);
  site_.Want({service});
  AgentProcess& agent = Agent(fleet_ / "device");
  agent.Start();
  ASSERT_TRUE(site_.AwaitService([](const v1::ServiceStatus& status) {
    return Runs(status) || status.state() == v1::REFUSED;
  }));
  if (site_.state().services(0).state() == v1::REFUSED) {
    // Rather not run at all than without what was promised.
    EXPECT_THAT(site_.state().services(0).message(), HasSubstr("limits of the manifest"));
    EXPECT_TRUE(agent.Services().empty());
    GTEST_SKIP() << site_.state().services(0).message();
  }
  const std::string top = "/sys/fs/cgroup";
  const std::string group = "/selvedge/jetson-1.safety.detector";
  const bool unified = fs::exists(top + "/cgroup.controllers");
  const std::string memory =
      unified ? top + group + "/memory.max" : top + "/memory" + group + "/memory.limit_in_bytes";
  const std::string cpu =
      unified ? top + group + "/cpu.max" : top + "/cpu" + group + "/cpu.cfs_quota_us";
  EXPECT_EQ(Content(memory), "536870912\n");
  EXPECT_THAT(Content(cpu), HasSubstr("75000"));
  const pid_t pid = *agent.Services().begin();
  EXPECT_THAT(Content("/proc/" + std::to_string(pid) + "/cgroup"), HasSubstr(group));
  EXPECT_EQ(agent.Terminate(), 0);
  EXPECT_FALSE(fs::exists(memory));
}

}  // namespace
}  // namespace selvedge
