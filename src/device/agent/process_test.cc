#include "device/agent/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace selvedge {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

template <typename Condition>
bool Eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

class ServiceProcessTest : public ::testing::Test {
 protected:
  ServiceProcessTest()
      : folder_(fs::temp_directory_path() / ("selvedge-process-" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
  }
  ~ServiceProcessTest() override { fs::remove_all(folder_); }

  Result<ServiceProcess> Shell(const std::string& script) {
    LaunchSpec launch;
    launch.arguments = {"/bin/sh", "-c", script};
    launch.environment = {"PATH=/usr/bin:/bin", "GREETING=hello"};
    launch.folder = folder_;
    return ServiceProcess::Start(launch, Log(), [](const ProcessIdentity&) { return OkStatus(); });
  }
  std::string Log() const { return folder_ / "log"; }
  std::string Said() const {
    std::ostringstream text;
    text << std::ifstream(Log()).rdbuf();
    return text.str();
  }

  const fs::path folder_;
};

TEST_F(ServiceProcessTest, RunsInItsFolderWithItsEnvironmentAndSaysHowItEnded) {
  auto process = Shell("pwd; echo $GREETING; echo gone wrong >&2; exit 3");
  ASSERT_TRUE(process) << process.error().message();
  ASSERT_TRUE(Eventually([&] { return process->Ended(); }));
  EXPECT_EQ(process->how(), "exit code 3");
  EXPECT_EQ(Said(), folder_.string() + "\nhello\ngone wrong\n");
}

TEST_F(ServiceProcessTest, AProgramThatIsNotThereIsAnError) {
  LaunchSpec launch;
  launch.arguments = {"/no/such/program"};
  bool recorded = false;
  const auto process = ServiceProcess::Start(launch, Log(), [&](const ProcessIdentity&) {
    recorded = true;
    return OkStatus();
  });
  ASSERT_FALSE(process);
  EXPECT_TRUE(recorded);
  EXPECT_EQ(process.error().code(), StatusCode::kNotFound);
  EXPECT_THAT(process.error().message(), HasSubstr("/no/such/program"));
}

TEST_F(ServiceProcessTest, WithoutARecordTheProgramNeverStarts) {
  LaunchSpec launch;
  launch.arguments = {"/bin/sh", "-c", "touch " + (folder_ / "started").string()};
  const auto process = ServiceProcess::Start(launch, Log(), [](const ProcessIdentity&) {
    return ResourceExhaustedError("the disk is full");
  });
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().code(), StatusCode::kResourceExhausted);
  EXPECT_FALSE(fs::exists(folder_ / "started"));
}

// As where the agent is killed between fork and record.
TEST_F(ServiceProcessTest, WhereTheStarterDiesTheProgramNeverStarts) {
  const pid_t starter = fork();
  if (starter == 0) {
    LaunchSpec launch;
    launch.arguments = {"/bin/sh", "-c", "touch " + (folder_ / "started").string()};
    (void)ServiceProcess::Start(launch, Log(), [](const ProcessIdentity& identity) {
      std::ofstream(fs::path("pid")) << identity.pid;
      raise(SIGKILL);
      return OkStatus();
    });
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(starter, &status, 0), starter);
  ASSERT_TRUE(WIFSIGNALED(status));
  fs::remove("pid");
  EXPECT_FALSE(fs::exists(folder_ / "started"));
}

TEST_F(ServiceProcessTest, IsFoundAgainByWhatIdentifiesItAndByNothingElse) {
  auto process = Shell("sleep 1000");
  ASSERT_TRUE(process);
  const ProcessIdentity identity = process->identity();
  EXPECT_GT(identity.start_ticks, 0u);
  EXPECT_FALSE(identity.boot.empty());
  auto found = ServiceProcess::Find(identity);
  ASSERT_TRUE(found.has_value());
  EXPECT_FALSE(found->Ended());
  ProcessIdentity another = identity;
  ++another.start_ticks;  // a process that got the number later
  EXPECT_FALSE(ServiceProcess::Find(another).has_value());
  another = identity;
  another.boot = "another boot";
  EXPECT_FALSE(ServiceProcess::Find(another).has_value());
  found->Signal(SIGTERM);
  ASSERT_TRUE(Eventually([&] { return process->Ended(); }));
  EXPECT_EQ(process->how(), "killed by SIGTERM");
  EXPECT_FALSE(ServiceProcess::Find(identity).has_value());
}

TEST_F(ServiceProcessTest, SignalsReachEverythingThatItStarted) {
  auto process = Shell("sleep 1000 & echo $! > child; wait");
  ASSERT_TRUE(process);
  pid_t child = 0;
  ASSERT_TRUE(Eventually([&] { return std::ifstream(folder_ / "child") >> child && child > 0; }));
  process->Signal(SIGKILL);
  ASSERT_TRUE(Eventually([&] { return process->Ended(); }));
  // Gone, or nobody's zombie.
  EXPECT_TRUE(Eventually([&] { return !IdentifyProcess(child).has_value(); }));
}

TEST_F(ServiceProcessTest, WhatItLeavesBehindEndsWithIt) {
  auto process = Shell("sleep 1000 & echo $! > child; exit 0");
  ASSERT_TRUE(process);
  ASSERT_TRUE(Eventually([&] { return process->Ended(); }));
  EXPECT_EQ(process->how(), "exit code 0");
  pid_t child = 0;
  ASSERT_TRUE(std::ifstream(folder_ / "child") >> child);
  EXPECT_TRUE(Eventually([&] { return !IdentifyProcess(child).has_value(); }));
}

TEST_F(ServiceProcessTest, LettingGoLeavesItRunning) {
  ProcessIdentity identity;
  {
    auto process = Shell("sleep 1000");
    ASSERT_TRUE(process);
    identity = process->identity();
  }
  auto found = ServiceProcess::Find(identity);
  ASSERT_TRUE(found.has_value());
  found->Signal(SIGKILL);
  EXPECT_TRUE(Eventually([&] { return found->Ended(); }));
}

TEST_F(ServiceProcessTest, BlockedSignalsAreNotHandedOn) {
  sigset_t block;
  sigset_t before;
  sigemptyset(&block);
  sigaddset(&block, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &block, &before);
  auto process = Shell("sleep 1000");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(process);
  process->Signal(SIGTERM);
  EXPECT_TRUE(Eventually([&] { return process->Ended(); }));
}

}  // namespace
}  // namespace selvedge
