#include "core/frame.h"

#include <gtest/gtest.h>

#include <utility>

namespace selvedge {
namespace {

const std::uint8_t kPixel = 7;

ImageView OnePixel() {
  return {
      .format = PixelFormat::kGray8, .width = 1, .height = 1, .planes = {&kPixel}, .strides = {1}};
}

void CountRelease(void* handle) {
  ++*static_cast<int*>(handle);
}

TEST(Frame, GivesItsPixelsBackOnce) {
  int released = 0;
  {
    Frame frame(OnePixel(), &released, CountRelease);
    EXPECT_TRUE(frame.HasPixels());
    const Frame moved = std::move(frame);
    EXPECT_TRUE(moved.HasPixels());
    EXPECT_EQ(released, 0);
  }
  EXPECT_EQ(released, 1);
}

TEST(Frame, ResetKeepsTimesAndNumbers) {
  int released = 0;
  Frame frame(OnePixel(), &released, CountRelease);
  frame.sequence = 5;
  frame.captured = 9;
  frame.Reset();
  frame.Reset();
  EXPECT_EQ(released, 1);
  EXPECT_FALSE(frame.HasPixels());
  EXPECT_EQ(frame.sequence, 5U);
  EXPECT_EQ(frame.captured, 9);
}

TEST(Frame, AssignmentReleasesWhatWasThere) {
  int first = 0;
  int second = 0;
  Frame frame(OnePixel(), &first, CountRelease);
  Frame other(OnePixel(), &second, CountRelease);
  other.sequence = 3;
  frame = std::move(other);
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 0);
  EXPECT_EQ(frame.sequence, 3U);
  Frame& self = frame;
  frame = std::move(self);
  EXPECT_TRUE(frame.HasPixels()) << "moving onto itself changes nothing";
}

TEST(Frame, DefaultOwnsNothing) {
  Frame frame;
  EXPECT_FALSE(frame.HasPixels());
  frame.Reset();
}

}  // namespace
}  // namespace selvedge
