#include "vision/mot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace selvedge {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

std::string Error(std::string_view text, const MotLimits& limits = {}) {
  const Result<std::vector<MotEntry>> entries = ParseMot(text, "gt.txt", limits);
  return entries ? "no error" : entries.error().message();
}

TEST(MotTest, GroundTruthOf2015) {
  const auto entries =
      ParseMot("1,9,499,158,31.03,75.17,1,-4.1554,-7.3591,0\n2,9,500,158,31,75,0,-1,-1,-1\n", "gt");
  ASSERT_TRUE(entries.has_value()) << entries.error().message();
  ASSERT_THAT(*entries, SizeIs(2));
  const MotEntry& first = entries->front();
  EXPECT_EQ(first.frame, 1);
  EXPECT_EQ(first.id, 9);
  EXPECT_FLOAT_EQ(first.box.x1, 499);
  EXPECT_FLOAT_EQ(first.box.y1, 158);
  EXPECT_FLOAT_EQ(first.box.x2, 530.03F);
  EXPECT_FLOAT_EQ(first.box.y2, 233.17F);
  EXPECT_EQ(first.confidence, 1);
  EXPECT_EQ(entries->back().confidence, 0);
}

TEST(MotTest, OtherShapesOfTheFormat) {
  // 2016 and later, detections without ids, no confidence, spaces, CRLF, blank lines, no last
  // newline.
  const auto entries = ParseMot(
      "1, 2, 3, 4, 5, 6, 1, 1, 0.86\r\n\r\n1,-1,3,4,5,6,-0.5\n  "
      "\n1,-1,3.5e0,4,5,6,+0.9\n2,2,3,4,5,6",
      "gt");
  ASSERT_TRUE(entries.has_value()) << entries.error().message();
  ASSERT_THAT(*entries, SizeIs(4));
  EXPECT_EQ((*entries)[1].id, -1);
  EXPECT_FLOAT_EQ((*entries)[1].confidence, -0.5F);
  EXPECT_FLOAT_EQ((*entries)[2].confidence, 0.9F);
  EXPECT_EQ((*entries)[3].confidence, 1);
}

TEST(MotTest, ErrorsSayWhere) {
  EXPECT_EQ(Error("1,1,0,0,5,5,1\n1,2,0,x,5,5,1\n"), "gt.txt:2: top is \"x\", not a number");
  EXPECT_EQ(Error("1,1,0,0,5,5\n\n1,2,,0,5,5\n"), "gt.txt:3: left is \"\", not a number");
  EXPECT_EQ(Error("1,1,0,0,5\n"),
            "gt.txt:1: 5 columns where frame,id,left,top,width,height,confidence are expected");
  EXPECT_EQ(Error("1,1,0,0,5,5,1,1,1,1,1\n"), "gt.txt:1: more than 10 columns");
  EXPECT_EQ(Error("0,1,0,0,5,5\n"), "gt.txt:1: frame must be a whole number from 1 to 10000000");
  EXPECT_EQ(Error("1.5,1,0,0,5,5\n"), "gt.txt:1: frame must be a whole number from 1 to 10000000");
  EXPECT_EQ(Error("1,-2,0,0,5,5\n"), "gt.txt:1: id must be a whole number, or -1 for none");
  EXPECT_EQ(Error("1,1,0,0,-5,5\n"), "gt.txt:1: width and height must not be negative");
  EXPECT_EQ(Error("1,1,0,1e9,5,5\n"), "gt.txt:1: top is beyond 10,000,000 pixels");
  EXPECT_EQ(Error("1,3,0,0,5,5\n2,3,0,0,5,5\n1,3,9,9,5,5\n"),
            "gt.txt:3: id 3 stands twice in frame 1");
  EXPECT_THAT(Error("\n \n"), HasSubstr("gt.txt: no boxes"));
}

TEST(MotTest, NumbersThatAreNone) {
  for (const char* word : {"nan", "inf", "-inf", "0x10", "1e999", "1 2", "--1", "++1", "1,"}) {
    SCOPED_TRACE(word);
    EXPECT_NE(Error("1,1," + std::string(word) + ",0,5,5\n"), "no error");
  }
  // What is quoted back is short and printable.
  EXPECT_EQ(Error("1,1,\x1b[31m" + std::string(100, 'a') + ",0,5,5\n"),
            "gt.txt:1: left is \"?[31m" + std::string(35, 'a') + "...\", not a number");
}

TEST(MotTest, Limits) {
  EXPECT_EQ(Error("1,1,0,0,5,5\n2,1,0,0,5,5\n", {.max_entries = 1}),
            "gt.txt:2: more than 1 boxes; split the file");
  EXPECT_EQ(Error("8,1,0,0,5,5\n", {.max_frame = 7}),
            "gt.txt:1: frame must be a whole number from 1 to 7");
  const auto missing = LoadMot("/nonexistent/gt.txt");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code(), StatusCode::kNotFound);
  EXPECT_THAT(missing.error().message(), HasSubstr("/nonexistent/gt.txt"));
}

}  // namespace
}  // namespace selvedge
