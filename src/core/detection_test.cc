#include "core/detection.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace selvedge {
namespace {

TEST(Box, Sizes) {
  const Box box{10, 20, 40, 80};
  EXPECT_EQ(box.width(), 30);
  EXPECT_EQ(box.height(), 60);
  EXPECT_EQ(box.area(), 1800);
}

TEST(Box, WhatIsTurnedAroundHasNoArea) {
  EXPECT_EQ((Box{10, 10, 5, 5}).area(), 0) << "two negative sides do not make a positive area";
  EXPECT_EQ((Box{10, 10, 5, 20}).area(), 0);
  EXPECT_EQ((Box{1, 1, 1, 1}).area(), 0);
}

TEST(Iou, OfBoxesWorkedOutByHand) {
  const Box a{0, 0, 10, 10};
  EXPECT_EQ(Iou(a, a), 1);
  EXPECT_FLOAT_EQ(Iou(a, {5, 0, 15, 10}), 50.0F / 150);
  EXPECT_FLOAT_EQ(Iou(a, {5, 5, 15, 15}), 25.0F / 175);
  EXPECT_FLOAT_EQ(Iou(a, {2, 2, 4, 4}), 0.04F);
}

TEST(Iou, OfBoxesThatOnlyTouchIsZero) {
  EXPECT_EQ(Iou({0, 0, 10, 10}, {10, 0, 20, 10}), 0);
  EXPECT_EQ(Iou({0, 0, 10, 10}, {10, 10, 20, 20}), 0);
  EXPECT_EQ(Iou({0, 0, 10, 10}, {30, 0, 40, 10}), 0);
}

TEST(Iou, OfWhatIsEmptyOrNoNumberIsZero) {
  const Box a{0, 0, 10, 10};
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(Iou(a, {5, 5, 5, 5}), 0);
  EXPECT_EQ(Iou(a, {8, 8, 2, 2}), 0);
  EXPECT_EQ(Iou({5, 5, 5, 5}, {5, 5, 5, 5}), 0);
  EXPECT_EQ(Iou(a, {nan, 0, 10, 10}), 0);
  EXPECT_EQ(Iou({nan, nan, nan, nan}, a), 0);
}

TEST(Iou, IsSymmetricAndBetweenZeroAndOne) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> at(-100, 100);
  for (int i = 0; i < 10'000; ++i) {
    const Box a{at(random), at(random), at(random), at(random)};
    const Box b{at(random), at(random), at(random), at(random)};
    const float iou = Iou(a, b);
    ASSERT_GE(iou, 0);
    ASSERT_LE(iou, 1);
    ASSERT_EQ(iou, Iou(b, a));
  }
}

}  // namespace
}  // namespace selvedge
