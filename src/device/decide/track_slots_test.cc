#include "device/decide/track_slots.h"

#include <gtest/gtest.h>

namespace selvedge {
namespace {

TEST(TrackSlots, NumbersAreLowAndReused) {
  TrackSlots slots;
  EXPECT_EQ(slots.Find(5), -1);
  EXPECT_EQ(slots.Acquire(5), 0);
  EXPECT_EQ(slots.Acquire(9), 1);
  EXPECT_EQ(slots.Acquire(7), 2);
  EXPECT_EQ(slots.Find(5), 0);
  EXPECT_EQ(slots.Find(7), 2);
  EXPECT_EQ(slots.Find(9), 1);
  EXPECT_EQ(slots.IdOf(2), 7);
  slots.Release(1);
  EXPECT_EQ(slots.Find(9), -1);
  EXPECT_EQ(slots.Find(7), 2);
  EXPECT_EQ(slots.Acquire(100), 1);
  EXPECT_EQ(slots.size(), 3);
  slots.Clear();
  EXPECT_EQ(slots.size(), 0);
  EXPECT_EQ(slots.Find(5), -1);
  EXPECT_EQ(slots.Acquire(1), 0);
}

TEST(TrackSlots, OldestIsTheOneNotUsedForLongest) {
  TrackSlots slots;
  for (std::int64_t id = 1; id <= 3; ++id) slots.Touch(slots.Acquire(id), 10);
  slots.Touch(slots.Find(1), 12);
  slots.Touch(slots.Find(2), 11);
  slots.Touch(slots.Find(3), 11);
  EXPECT_EQ(slots.IdOf(slots.Oldest(12)), 2) << "of equals the lowest id";
  slots.Touch(slots.Find(2), 12);
  slots.Touch(slots.Find(3), 12);
  EXPECT_EQ(slots.Oldest(12), -1) << "all are in the frame";
}

TEST(TrackSlots, IsBounded) {
  TrackSlots slots;
  for (int id = 0; id < TrackSlots::kMaxSlots; ++id) ASSERT_EQ(slots.Acquire(id), id);
  EXPECT_EQ(slots.Acquire(99'999), -1);
  slots.Release(512);
  EXPECT_EQ(slots.Acquire(99'999), 512);
}

}  // namespace
}  // namespace selvedge
