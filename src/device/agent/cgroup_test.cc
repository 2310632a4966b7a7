#include "device/agent/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace selvedge {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

// A kernel made of files: what was written to which can be read again.
class CgroupLimitsTest : public ::testing::Test {
 protected:
  CgroupLimitsTest()
      : root_(fs::temp_directory_path() / ("selvedge-limits-" + std::to_string(getpid()))) {
    resources_.set_memory_bytes(512 << 20);
    resources_.set_cpus(1.5);
  }
  ~CgroupLimitsTest() override { fs::remove_all(root_); }
  void Put(const std::string& path) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream{root_ / path};
  }
  std::string Content(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(root_ / path).rdbuf();
    return text.str();
  }
  const fs::path root_;
  v1::Resources resources_;
};

TEST_F(CgroupLimitsTest, Unified) {
  const std::string group = "sys/fs/cgroup/selvedge/d.a.s/";
  Put("sys/fs/cgroup/cgroup.controllers");
  Put("sys/fs/cgroup/cgroup.subtree_control");
  Put("sys/fs/cgroup/selvedge/cgroup.subtree_control");
  for (const char* file : {"memory.max", "memory.swap.max", "cpu.max", "cgroup.procs"})
    Put(group + file);
  const Status status = LimitProcess(root_, "d.a.s", resources_, 4711);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(Content(group + "memory.max"), "536870912");
  EXPECT_EQ(Content(group + "memory.swap.max"), "0");
  EXPECT_EQ(Content(group + "cpu.max"), "150000 100000");
  EXPECT_EQ(Content(group + "cgroup.procs"), "4711");
  EXPECT_EQ(Content("sys/fs/cgroup/selvedge/cgroup.subtree_control"), "+memory +cpu");
}

TEST_F(CgroupLimitsTest, VersionOne) {
  for (const char* file :
       {"memory/selvedge/d.a.s/memory.limit_in_bytes",
        "memory/selvedge/d.a.s/memory.memsw.limit_in_bytes", "memory/selvedge/d.a.s/cgroup.procs",
        "cpu/selvedge/d.a.s/cpu.cfs_period_us", "cpu/selvedge/d.a.s/cpu.cfs_quota_us",
        "cpu/selvedge/d.a.s/cgroup.procs"}) {
    Put(std::string("sys/fs/cgroup/") + file);
  }
  const Status status = LimitProcess(root_, "d.a.s", resources_, 4711);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(Content("sys/fs/cgroup/memory/selvedge/d.a.s/memory.limit_in_bytes"), "536870912");
  EXPECT_EQ(Content("sys/fs/cgroup/memory/selvedge/d.a.s/memory.memsw.limit_in_bytes"),
            "536870912");
  EXPECT_EQ(Content("sys/fs/cgroup/cpu/selvedge/d.a.s/cpu.cfs_quota_us"), "150000");
  EXPECT_EQ(Content("sys/fs/cgroup/memory/selvedge/d.a.s/cgroup.procs"), "4711");
}

TEST_F(CgroupLimitsTest, AKernelThatCountsNoSwapNeedsNoLimitOfIt) {
  resources_.clear_cpus();
  Put("sys/fs/cgroup/memory/selvedge/d.a.s/memory.limit_in_bytes");
  Put("sys/fs/cgroup/memory/selvedge/d.a.s/cgroup.procs");
  EXPECT_TRUE(LimitProcess(root_, "d.a.s", resources_, 4711).ok());
}

TEST_F(CgroupLimitsTest, WhereItCannotBeSetTheServiceIsRefused) {
  const Status status = LimitProcess(root_, "d.a.s", resources_, 4711);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("limits of the manifest"));
}

TEST_F(CgroupLimitsTest, OnlyWhatIsAskedFor) {
  EXPECT_TRUE(WantsLimits(resources_));
  EXPECT_FALSE(WantsLimits({}));
  v1::Resources gpu;
  gpu.set_gpu(1);
  EXPECT_FALSE(WantsLimits(gpu));
  RemoveLimits(root_, "d.a.s");
}

}  // namespace
}  // namespace selvedge
