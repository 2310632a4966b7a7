#include "device/publish/recent_lines.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace selvedge {
namespace {

TEST(RecentLinesTest, KeepsTheLastFifty) {
  RecentLines recent;
  EXPECT_TRUE(recent.Read().empty());
  recent.Add("0");
  EXPECT_EQ(recent.Read(), std::vector<std::string>{"0"});
  for (int i = 1; i < 1000; ++i) recent.Add(std::to_string(i));
  const std::vector<std::string> lines = recent.Read();
  ASSERT_EQ(lines.size(), 50u);
  for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(lines[i], std::to_string(950 + i));
}

TEST(RecentLinesTest, PassesOverWhatIsTooLong) {
  RecentLines recent;
  recent.Add(std::string(RecentLines::kMaxLine + 1, 'x'));
  EXPECT_TRUE(recent.Read().empty());
  recent.Add(std::string(RecentLines::kMaxLine, 'x'));
  EXPECT_EQ(recent.Read().size(), 1u);
}

TEST(RecentLinesTest, ReadersSeeWholeLinesInOrderWhileLinesCome) {
  RecentLines recent;
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    while (!stop) {
      long previous = -1;
      for (const std::string& line : recent.Read()) {
        const long number = std::stol(line);
        // "7 7 7 …": a torn line would hold two numbers.
        ASSERT_EQ(line, [&] {
          std::string whole = std::to_string(number);
          for (int i = 0; i < 20; ++i) whole += " " + std::to_string(number);
          return whole;
        }());
        ASSERT_GT(number, previous);
        previous = number;
      }
    }
  });
  std::string line;
  for (int n = 0; n < 20'000; ++n) {
    line = std::to_string(n);
    const std::string number = line;
    for (int i = 0; i < 20; ++i) line += " " + number;
    recent.Add(line);
  }
  stop = true;
  reader.join();
  EXPECT_TRUE(recent.Read().back().starts_with("19999 "));
}

}  // namespace
}  // namespace selvedge
