#include "base/resident_memory.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <regex>
#include <string>
#include <thread>

namespace selvedge {
namespace {

// KiB of files that are mapped and in memory.
long FilesInMemory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssFile:")) return std::stol(line.substr(8));
  }
  return 0;
}

TEST(ResidentMemory, CodeThatIsNotNeededIsLetGo) {
  // Some code of the standard library that nothing else here runs.
  EXPECT_TRUE(std::regex_match("2026-07-01", std::regex("[0-9]{4}(-[0-9]{2}){2}")));
  const long before = FilesInMemory();
  ASSERT_GT(before, 0);
  GiveBackUnusedMemory();
  EXPECT_LT(FilesInMemory(), before);
  EXPECT_TRUE(std::regex_match("2026-07-01", std::regex("[0-9]{4}(-[0-9]{2}){2}")));
}

TEST(ResidentMemory, OtherThreadsRunOn) {
  std::atomic<bool> stop{false};
  std::atomic<int> matched{0};
  std::thread other([&] {
    while (!stop) {
      if (std::regex_match("a1b2", std::regex("([a-z][0-9])+"))) ++matched;
    }
  });
  for (int i = 0; i < 200; ++i) GiveBackUnusedMemory();
  const int so_far = matched;
  while (matched <= so_far) std::this_thread::yield();
  stop = true;
  other.join();
}

}  // namespace
}  // namespace selvedge
