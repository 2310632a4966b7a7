#include "device/decide/geometry.h"

#include <gtest/gtest.h>

#include <vector>

namespace selvedge {
namespace {

const std::vector<Point> kSquare = {{0, 0}, {10, 0}, {10, 10}, {0, 10}};
// A U, open at the top.
const std::vector<Point> kConcave = {{0, 0}, {3, 0},  {3, 7},   {7, 7},
                                     {7, 0}, {10, 0}, {10, 10}, {0, 10}};

TEST(Geometry, SquareInsideOutsideAndBorder) {
  EXPECT_TRUE(InPolygon(kSquare, {5, 5}));
  for (const Point p :
       {Point{0, 5}, {10, 5}, {5, 0}, {5, 10}, {0, 0}, {10, 0}, {10, 10}, {0, 10}}) {
    EXPECT_TRUE(InPolygon(kSquare, p)) << p.x << "," << p.y;
  }
  for (const Point p :
       {Point{-1, 5}, {11, 5}, {5, -1}, {5, 11}, {-1, 0}, {11, 0}, {-1, 10}, {11, 10}}) {
    EXPECT_FALSE(InPolygon(kSquare, p)) << p.x << "," << p.y;
  }
}

TEST(Geometry, ConcaveNotchIsOutside) {
  EXPECT_TRUE(InPolygon(kConcave, {1, 5}));
  EXPECT_TRUE(InPolygon(kConcave, {9, 5}));
  EXPECT_TRUE(InPolygon(kConcave, {5, 8}));
  EXPECT_TRUE(InPolygon(kConcave, {5, 7}));
  EXPECT_FALSE(InPolygon(kConcave, {5, 5}));
  EXPECT_FALSE(InPolygon(kConcave, {5, 0}));  // at the height of four corners
}

TEST(Geometry, RaysThroughCornersCountOnce) {
  const std::vector<Point> diamond = {{5, 0}, {10, 5}, {5, 10}, {0, 5}};
  EXPECT_TRUE(InPolygon(diamond, {1, 5}));
  EXPECT_FALSE(InPolygon(diamond, {-1, 5}));
  EXPECT_FALSE(InPolygon(diamond, {-1, 0}));
  EXPECT_FALSE(InPolygon(diamond, {-1, 10}));
}

TEST(Geometry, CrossTellsRightFromLeftInThePicture) {
  EXPECT_GT(Cross({0, 0}, {1, 0}, {0, 1}), 0) << "looking to the right, below is on the right hand";
  EXPECT_LT(Cross({0, 0}, {1, 0}, {0, -1}), 0);
  EXPECT_EQ(Cross({0, 0}, {1, 0}, {7, 0}), 0);
}

TEST(Geometry, Distances) {
  EXPECT_DOUBLE_EQ(DistanceToSegment({0, 0}, {10, 0}, {5, 3}), 3);
  EXPECT_DOUBLE_EQ(DistanceToSegment({0, 0}, {10, 0}, {14, 3}), 5);
  EXPECT_DOUBLE_EQ(DistanceToSegment({2, 2}, {2, 2}, {5, 6}), 5);
  EXPECT_DOUBLE_EQ(DistanceToBorder(kSquare, {4, 5}), 4);
  EXPECT_DOUBLE_EQ(DistanceToBorder(kSquare, {13, 14}), 5);
  EXPECT_DOUBLE_EQ(DistanceToBorder(kSquare, {10, 3}), 0);
}

TEST(Geometry, SegmentsMeet) {
  EXPECT_TRUE(SegmentsMeet({0, 0}, {2, 2}, {0, 2}, {2, 0}));
  EXPECT_TRUE(SegmentsMeet({0, 0}, {2, 0}, {1, 0}, {1, 5})) << "touching";
  EXPECT_TRUE(SegmentsMeet({0, 0}, {2, 0}, {1, 0}, {3, 0})) << "overlapping";
  EXPECT_FALSE(SegmentsMeet({0, 0}, {2, 0}, {3, 0}, {4, 0})) << "on one line, apart";
  EXPECT_FALSE(SegmentsMeet({0, 0}, {2, 0}, {0, 1}, {2, 1}));
  EXPECT_FALSE(SegmentsMeet({0, 0}, {2, 2}, {3, 0}, {2.5, 1}));
}

TEST(Geometry, SelfIntersection) {
  EXPECT_FALSE(FindSelfIntersection(kSquare));
  EXPECT_FALSE(FindSelfIntersection(kConcave));
  EXPECT_FALSE(FindSelfIntersection(std::vector<Point>{{0, 0}, {5, 0}, {10, 0}, {5, 5}}))
      << "a corner of 180 degrees";
  const auto bow = FindSelfIntersection(std::vector<Point>{{0, 0}, {1, 1}, {1, 0}, {0, 1}});
  ASSERT_TRUE(bow);
  EXPECT_EQ(*bow, (std::pair<std::size_t, std::size_t>{0, 2}));
  EXPECT_TRUE(FindSelfIntersection(std::vector<Point>{{0, 0}, {4, 0}, {4, 4}, {2, 0}, {0, 4}}))
      << "a corner on another edge";
  EXPECT_TRUE(FindSelfIntersection(std::vector<Point>{{0, 0}, {4, 0}, {2, 0}, {2, 4}}))
      << "a spike";
  EXPECT_TRUE(FindSelfIntersection(std::vector<Point>{{2, 0}, {2, 4}, {0, 0}, {4, 0}}))
      << "a spike at the closing edge";
}

TEST(Geometry, OnOneLine) {
  EXPECT_TRUE(OnOneLine(std::vector<Point>{{0.1, 0.1}, {0.2, 0.2}, {0.3, 0.3}, {0.7, 0.7}}));
  EXPECT_TRUE(OnOneLine(std::vector<Point>{{3, 3}, {3, 3}, {3, 3}}));
  EXPECT_FALSE(OnOneLine(kSquare));
  EXPECT_FALSE(OnOneLine(std::vector<Point>{{0, 0}, {1000, 0}, {500, 0.1}}));
}

}  // namespace
}  // namespace selvedge
