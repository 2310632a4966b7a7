#include "base/cpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace selvedge {
namespace {

namespace fs = std::filesystem;

class CgroupTest : public testing::Test {
 protected:
  CgroupTest() {
    std::string pattern = (fs::temp_directory_path() / "selvedge-cpu-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  ~CgroupTest() override { fs::remove_all(root_); }

  void Put(const std::string& path, std::string_view content) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << content;
  }
  double Quota() const { return CgroupCpuQuota(root_.string()); }

  fs::path root_;
};

TEST_F(CgroupTest, NothingThereIsNoQuota) {
  EXPECT_EQ(Quota(), 0);
}

TEST_F(CgroupTest, V2OfTheGroup) {
  Put("proc/self/cgroup", "0::/user.slice/x.scope\n");
  Put("sys/fs/cgroup/user.slice/x.scope/cpu.max", "150000 100000\n");
  EXPECT_EQ(Quota(), 1.5);
}

TEST_F(CgroupTest, V2WithoutLimit) {
  Put("proc/self/cgroup", "0::/a\n");
  Put("sys/fs/cgroup/a/cpu.max", "max 100000\n");
  EXPECT_EQ(Quota(), 0);
}

TEST_F(CgroupTest, V2TheTightestParentCounts) {
  Put("proc/self/cgroup", "0::/a/b/c\n");
  Put("sys/fs/cgroup/a/cpu.max", "50000 100000\n");
  Put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  Put("sys/fs/cgroup/a/b/c/cpu.max", "400000 100000\n");
  EXPECT_EQ(Quota(), 0.5);
}

TEST_F(CgroupTest, V2InAContainer) {
  Put("proc/self/cgroup", "0::/\n");
  Put("sys/fs/cgroup/cpu.max", "200000 100000\n");
  EXPECT_EQ(Quota(), 2);
}

TEST_F(CgroupTest, V2OutsideOfTheNamespaceUsesTheMount) {
  Put("proc/self/cgroup", "0::/../../other\n");
  Put("sys/fs/cgroup/cpu.max", "200000 100000\n");
  EXPECT_EQ(Quota(), 2);
}

TEST_F(CgroupTest, V1OfTheGroup) {
  Put("proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n");
  Put("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "250000\n");
  Put("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Quota(), 2.5);
}

TEST_F(CgroupTest, V1MountedAsCpuAndSeenFromInside) {
  Put("proc/self/cgroup", "4:cpu,cpuacct:/docker/abc\n");
  Put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");
  Put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Quota(), 0.5);
}

TEST_F(CgroupTest, V1WithoutLimit) {
  Put("proc/self/cgroup", "4:cpu:/\n");
  Put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  Put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Quota(), 0);
}

TEST_F(CgroupTest, HybridTakesBoth) {
  Put("proc/self/cgroup", "4:cpu:/\n0::/a\n");
  Put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n");
  Put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  Put("sys/fs/cgroup/a/cpu.max", "100000 100000\n");
  EXPECT_EQ(Quota(), 1);
}

TEST_F(CgroupTest, CpusetIsNotCpu) {
  Put("proc/self/cgroup", "4:cpuset:/\n");
  Put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n");
  Put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Quota(), 0);
}

TEST_F(CgroupTest, NonsenseIsNoQuota) {
  Put("proc/self/cgroup", "garbage\n0::/a\n:\n");
  for (const char* text : {"", "max", "x y", "100000 0", "-5 100000", "1e999 1"}) {
    Put("sys/fs/cgroup/a/cpu.max", text);
    EXPECT_EQ(Quota(), 0) << text;
  }
}

TEST(UsableCpus, FollowsTheAffinityMask) {
  EXPECT_GE(UsableCpus(), 1);
  EXPECT_LE(UsableCpus(), ::sysconf(_SC_NPROCESSORS_ONLN));
  // On a thread of its own: the mask is the thread's, and the other tests keep theirs.
  std::jthread([] {
    cpu_set_t all;
    ASSERT_EQ(::sched_getaffinity(0, sizeof all, &all), 0);
    int first = 0;
    while (!CPU_ISSET(first, &all)) ++first;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(UsableCpus(), 1);
  }).join();
}

TEST(CpuFingerprint, OfAnX86Processor) {
  EXPECT_EQ(CpuFingerprintFrom(
                "processor\t: 0\nmodel name\t: Imaginary(R) CPU @ 2.00GHz\n"
                "flags\t\t: fpu sse4_2 avx avx2 fma f16c avx512f avx512_vnni amx_int8 ht\n\n"
                "processor\t: 1\nmodel name\t: Imaginary(R) CPU @ 2.00GHz\n"),
            "Imaginary(R) CPU @ 2.00GHz sse4_2 avx f16c fma avx2 avx512f avx512_vnni amx_int8");
}

TEST(CpuFingerprint, OfAnArmProcessor) {
  const std::string core = "Features\t: fp asimd asimdhp asimddp crc32\nCPU implementer\t: 0x41\n";
  EXPECT_EQ(CpuFingerprintFrom("processor\t: 0\n" + core + "CPU part\t: 0xd05\n\nprocessor\t: 1\n" +
                               core + "CPU part\t: 0xd0a\n\nprocessor\t: 2\n" + core +
                               "CPU part\t: 0xd05\n"),
            "ARM 0x41/0xd05+0x41/0xd0a asimd asimdhp asimddp");
}

TEST(CpuFingerprint, OfNothing) {
  EXPECT_EQ(CpuFingerprintFrom(""), "unknown processor");
}

TEST(CpuFingerprint, OfThisMachineIsOneStableLine) {
  const std::string print = CpuFingerprint();
  EXPECT_THAT(print, testing::StartsWith(MachineArchitecture() + " "));
  EXPECT_EQ(print.find('\n'), std::string::npos);
  EXPECT_EQ(print, CpuFingerprint());
}

TEST(CpuTime, CountsWorkNotWaiting) {
  const Nanos process = ProcessCpuTime();
  const Nanos thread = ThreadCpuTime();
  volatile double sink = 0;
  while (ThreadCpuTime() - thread < 5 * kMillisecond) sink = sink + 1;
  EXPECT_GE(ProcessCpuTime() - process, 5 * kMillisecond);
  Nanos idle = 1;
  std::jthread([&] { idle = ThreadCpuTime(); }).join();
  EXPECT_LT(idle, kSecond) << "of the calling thread, not of the process";
}

TEST(ResidentBytes, PeakIsAtLeastWhatIsThere) {
  const long before = ResidentBytes();
  EXPECT_GT(before, 1L << 20);
  // Not from the heap, which may have resident memory to spare.
  constexpr std::size_t kBytes = 32U << 20;
  void* block = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(block, MAP_FAILED);
  std::memset(block, 1, kBytes);
  const long with_block = ResidentBytes();
  ::munmap(block, kBytes);
  EXPECT_GE(with_block, before + (24L << 20));
  EXPECT_LE(ResidentBytes(), with_block - (16L << 20));
  EXPECT_GE(PeakResidentBytes(), with_block - (1L << 20));
}

}  // namespace
}  // namespace selvedge
