#include "base/resident_memory.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

namespace selvedge {
namespace {

// KiB of files' pages that this process has mapped and present.
long ResidentFilePages() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    long kib = 0;
    if (std::sscanf(line.c_str(), "RssFile: %ld kB", &kib) == 1) return kib;
  }
  return 0;
}

// Constants that hold addresses are written once by the loader: they must not be taken for code.
struct Shape {
  virtual ~Shape() = default;
  virtual int Corners() const = 0;
};
struct Triangle : Shape {
  int Corners() const override { return 3; }
};
struct Square : Shape {
  int Corners() const override { return 4; }
};
const std::array<const char*, 3> kNames = {"point", "line", "triangle"};
int written = 41;

TEST(ResidentMemoryTest, CodeIsGivenBackAndStillRuns) {
  const std::array<std::unique_ptr<Shape>, 2> shapes = {std::make_unique<Triangle>(),
                                                        std::make_unique<Square>()};
  ++written;
  const long before = ResidentFilePages();
  EXPECT_GT(ReleaseStartupMemory(), 1U << 20);
  const long after = ResidentFilePages();
  EXPECT_LT(after, before / 2) << before << " KiB before";
  int corners = 0;
  for (const auto& shape : shapes) corners += shape->Corners();
  EXPECT_EQ(corners, 7);
  EXPECT_STREQ(kNames[written - 40], "triangle");
  EXPECT_THROW((void)std::stoi("none"), std::invalid_argument);
}

}  // namespace
}  // namespace selvedge
