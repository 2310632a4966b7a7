#include "base/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "base/file.h"

namespace selvedge {
namespace {

using ::testing::HasSubstr;

class ChildProcessTest : public ::testing::Test {
 protected:
  ChildProcessTest()
      : output_(::testing::TempDir() + "child_process_" + std::to_string(getpid()) + ".txt") {
    std::filesystem::remove(output_);
  }
  ~ChildProcessTest() override { std::filesystem::remove(output_); }

  ChildOptions Shell(const std::string& script) const {
    ChildOptions options;
    options.program = "/bin/sh";
    options.arguments = {"-c", script};
    options.output_file = output_;
    return options;
  }
  std::string Output() const { return ReadFile(output_, 10'000).value_or(""); }

  std::string output_;
};

TEST_F(ChildProcessTest, ExitCodeOutputEnvironmentAndFolder) {
  setenv("SELVEDGE_TEST_KEPT", "kept", 1);
  setenv("SELVEDGE_TEST_CHANGED", "old", 1);
  ChildOptions options =
      Shell("echo $SELVEDGE_TEST_KEPT $SELVEDGE_TEST_CHANGED; pwd; echo to stderr >&2; exit 7");
  options.environment = {"SELVEDGE_TEST_CHANGED=new"};
  options.folder = "/";
  auto child = ChildProcess::Start(options);
  ASSERT_TRUE(child.has_value()) << child.error().message();
  EXPECT_GT(child->pid(), 0);
  EXPECT_EQ(child->Wait(30 * kSecond), 7);
  EXPECT_EQ(child->Wait(0), 7);
  EXPECT_EQ(Output(), "kept new\n/\nto stderr\n");
}

TEST_F(ChildProcessTest, WhatCannotBeStartedIsSaid) {
  ChildOptions options;
  options.program = "/nowhere/at-all";
  const auto child = ChildProcess::Start(options);
  ASSERT_FALSE(child.has_value());
  EXPECT_THAT(child.error().message(), HasSubstr("cannot start /nowhere/at-all"));
  options = Shell("true");
  options.folder = "/nowhere";
  EXPECT_FALSE(ChildProcess::Start(options).has_value());
  options = Shell("true");
  options.output_file = "/nowhere/log";
  EXPECT_FALSE(ChildProcess::Start(options).has_value());
}

TEST_F(ChildProcessTest, StopIsGentleFirst) {
  auto gentle =
      ChildProcess::Start(Shell("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done"));
  ASSERT_TRUE(gentle.has_value());
  while (Output().empty()) usleep(1000);
  EXPECT_TRUE(gentle->Running());
  EXPECT_EQ(gentle->Stop(30 * kSecond), 3);
  EXPECT_FALSE(gentle->Running());

  std::filesystem::remove(output_);
  auto deaf = ChildProcess::Start(Shell("trap '' TERM; echo ready; while :; do sleep 0.01; done"));
  ASSERT_TRUE(deaf.has_value());
  while (Output().empty()) usleep(1000);
  EXPECT_EQ(deaf->Stop(50 * kMillisecond), 128 + SIGKILL);
}

TEST_F(ChildProcessTest, ItsChildrenGoWithIt) {
  auto child = ChildProcess::Start(Shell("sleep 1000 & echo $!; wait"));
  ASSERT_TRUE(child.has_value());
  while (Output().find('\n') == std::string::npos) usleep(1000);
  const pid_t grandchild = std::stoi(Output());
  EXPECT_EQ(kill(grandchild, 0), 0);
  {
    const ChildProcess gone = std::move(*child);
  }
  // Reaped by init, or a zombie for a moment.
  const std::string stat = "/proc/" + std::to_string(grandchild) + "/stat";
  while (true) {
    const std::string text = ReadFile(stat, 1000).value_or("");
    if (text.empty() || text.find(") Z ") != std::string::npos) break;
    usleep(1000);
  }
}

TEST_F(ChildProcessTest, BlockedSignalsAreNotInherited) {
  sigset_t set;
  sigset_t old;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, &old);
  auto child = ChildProcess::Start(Shell("echo ready; exec sleep 1000"));
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  ASSERT_TRUE(child.has_value());
  while (Output().empty()) usleep(1000);
  EXPECT_EQ(child->Stop(30 * kSecond), 128 + SIGTERM);
}

}  // namespace
}  // namespace selvedge
