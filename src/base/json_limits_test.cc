#include "base/json_limits.h"

#include <gtest/gtest.h>

#include <string>

namespace selvedge {
namespace {

std::string Repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(JsonLimits, DepthIsCounted) {
  EXPECT_TRUE(JsonWithinLimits("{}", 1, 10));
  EXPECT_TRUE(JsonWithinLimits(R"({"a": {"b": [1]}})", 3, 10));
  EXPECT_FALSE(JsonWithinLimits(R"({"a": {"b": [1]}})", 2, 10));
  EXPECT_FALSE(JsonWithinLimits(Repeated("[", 1'000'000), 16, 10'000'000));
}

TEST(JsonLimits, ValuesAreCounted) {
  EXPECT_TRUE(JsonWithinLimits("[1,2,3,4]", 1, 5));
  EXPECT_FALSE(JsonWithinLimits("[1,2,3,4]", 1, 4));
  EXPECT_FALSE(JsonWithinLimits("[" + Repeated("[],", 1000) + "[]]", 9, 1000));
  EXPECT_TRUE(JsonWithinLimits("", 1, 1));
}

TEST(JsonLimits, WhatIsInStringsIsNot) {
  EXPECT_TRUE(JsonWithinLimits(R"({"[[[[,,,,": "{{{{\",,,,\\"})", 1, 2));
  EXPECT_FALSE(JsonWithinLimits(R"({"\\": [[1]]})", 2, 10));
}

}  // namespace
}  // namespace selvedge
