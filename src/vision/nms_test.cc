#include "vision/nms.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "base/allocation_counter.h"

namespace selvedge {
namespace {

Detection At(float x, float y, float size, float score, int class_id = 0) {
  return {{x, y, x + size, y + size}, score, class_id, -1};
}

TEST(NmsTest, TheBestOfAClusterStays) {
  Detections d = {At(0, 0, 10, 0.5F), At(1, 0, 10, 0.9F), At(50, 50, 10, 0.6F), At(0, 1, 10, 0.7F)};
  SuppressNonMaxima(0.5F, 10, &d);
  ASSERT_EQ(d.size(), 2U);
  EXPECT_FLOAT_EQ(d[0].score, 0.9F);
  EXPECT_FLOAT_EQ(d[1].score, 0.6F);
}

TEST(NmsTest, ClassesDoNotSuppressEachOther) {
  Detections d = {At(0, 0, 10, 0.5F, 1), At(0, 0, 10, 0.9F, 2)};
  SuppressNonMaxima(0.1F, 10, &d);
  EXPECT_EQ(d.size(), 2U);
}

TEST(NmsTest, OverlapOfExactlyTheLimitStays) {
  // Intersection 5x10, union 15x10: one third.
  Detections d = {At(0, 0, 10, 0.9F), At(5, 0, 10, 0.8F)};
  SuppressNonMaxima(1.0F / 3.0F, 10, &d);
  EXPECT_EQ(d.size(), 2U);
  SuppressNonMaxima(0.33F, 10, &d);
  EXPECT_EQ(d.size(), 1U);
}

TEST(NmsTest, ASuppressedBoxSuppressesNothing) {
  // The middle one falls to the first and must not take the third with it.
  Detections d = {At(0, 0, 10, 0.9F), At(4, 0, 10, 0.8F), At(8, 0, 10, 0.7F)};
  SuppressNonMaxima(0.3F, 10, &d);
  ASSERT_EQ(d.size(), 2U);
  EXPECT_FLOAT_EQ(d[1].box.x1, 8);
}

TEST(NmsTest, StopsAtTheMostAllowed) {
  Detections d;
  for (int i = 0; i < 20; ++i) d.push_back(At(20.0F * i, 0, 10, 0.1F + 0.01F * i));
  SuppressNonMaxima(0.5F, 3, &d);
  ASSERT_EQ(d.size(), 3U);
  EXPECT_FLOAT_EQ(d[0].box.x1, 380);
  SuppressNonMaxima(0.5F, 0, &d);
  EXPECT_TRUE(d.empty());
  SuppressNonMaxima(0.5F, 10, &d);
  EXPECT_TRUE(d.empty());
}

// The definition, word for word, with the plain IoU of core/.
Detections Reference(float iou, std::size_t most, Detections d) {
  std::stable_sort(d.begin(), d.end(),
                   [](const Detection& a, const Detection& b) { return a.score > b.score; });
  Detections kept;
  for (const Detection& candidate : d) {
    bool free = true;
    for (const Detection& k : kept) {
      free = free && (k.class_id != candidate.class_id || Iou(k.box, candidate.box) <= iou);
    }
    if (free && kept.size() < most) kept.push_back(candidate);
  }
  return kept;
}

TEST(NmsTest, AgreesWithTheDefinitionWhateverTheOrder) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> where(0, 60);
    Detections d;
    const int count = static_cast<int>(random() % 80);
    for (int i = 0; i < count; ++i) {
      d.push_back(At(where(random), where(random), 5 + where(random) / 3,
                     static_cast<float>(i + 1) / 100, static_cast<int>(random() % 3)));
    }
    std::shuffle(d.begin(), d.end(), random);
    const Detections expected = Reference(0.45F, 30, d);
    const auto before = AllocationsOfThisThread();
    SuppressNonMaxima(0.45F, 30, &d);
    ASSERT_EQ(AllocationsOfThisThread(), before);
    ASSERT_EQ(d.size(), expected.size()) << "seed " << seed;
    for (std::size_t i = 0; i < d.size(); ++i) ASSERT_EQ(d[i].score, expected[i].score);
  }
}

TEST(NmsTest, EqualScoresComeOutInOneOrder) {
  Detections a = {At(30, 0, 10, 0.5F), At(0, 0, 10, 0.5F), At(0, 30, 10, 0.5F)};
  Detections b = {a[2], a[0], a[1]};
  SuppressNonMaxima(0.5F, 10, &a);
  SuppressNonMaxima(0.5F, 10, &b);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(a[i].box.x1, b[i].box.x1);
    EXPECT_EQ(a[i].box.y1, b[i].box.y1);
  }
}

}  // namespace
}  // namespace selvedge
