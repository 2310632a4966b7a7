#include "device/publish/event_ring.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

namespace selvedge {
namespace {

std::uint64_t Put(EventRing* ring, const std::string& record) {
  const auto room = ring->Begin(record.size());
  EXPECT_EQ(room.size(), record.size());
  std::memcpy(room.data(), record.data(), record.size());
  return ring->Commit();
}

// Of a length and content that follow from its number.
std::string Record(std::uint64_t number) {
  return std::string(number % 61, static_cast<char>('a' + number % 26));
}

TEST(EventRing, GivesBackWhatWasPut) {
  EventRing ring(1024, 200);
  EventRing::Cursor cursor;
  std::uint64_t number = 0;
  std::string record;
  EXPECT_FALSE(ring.Next(0, &cursor, &number, &record));
  EXPECT_EQ(ring.last(), 0u);
  EXPECT_EQ(ring.oldest(), 1u);
  EXPECT_EQ(Put(&ring, "one"), 1u);
  EXPECT_EQ(Put(&ring, ""), 2u);
  EXPECT_EQ(Put(&ring, "three, which takes more than a word"), 3u);
  ASSERT_TRUE(ring.Next(0, &cursor, &number, &record));
  EXPECT_EQ(number, 1u);
  EXPECT_EQ(record, "one");
  ASSERT_TRUE(ring.Next(0, &cursor, &number, &record));
  EXPECT_EQ(record, "");
  ASSERT_TRUE(ring.Next(0, &cursor, &number, &record));
  EXPECT_EQ(number, 3u);
  EXPECT_EQ(record, "three, which takes more than a word");
  EXPECT_FALSE(ring.Next(0, &cursor, &number, &record));
  // A fresh cursor begins at the oldest, or behind what is already known.
  EventRing::Cursor again;
  ASSERT_TRUE(ring.Next(2, &again, &number, &record));
  EXPECT_EQ(number, 3u);
}

TEST(EventRing, RefusesWhatIsTooLarge) {
  EventRing ring(1024, 200);
  EXPECT_TRUE(ring.Begin(201).empty());
  EXPECT_EQ(ring.Begin(200).size(), 200u);
  // Never more than a quarter of the ring, so that one record cannot push out all others.
  EventRing small(1024, 1024);
  EXPECT_TRUE(small.Begin(257).empty());
  EXPECT_EQ(small.Begin(256).size(), 256u);
}

TEST(EventRing, OverwritesTheOldest) {
  EventRing ring(1024, 200);
  for (std::uint64_t n = 1; n <= 1000; ++n) ASSERT_EQ(Put(&ring, Record(n)), n);
  EXPECT_EQ(ring.last(), 1000u);
  EXPECT_GT(ring.oldest(), 970u);
  EventRing::Cursor cursor;
  std::uint64_t number = 0;
  std::string record;
  for (std::uint64_t n = ring.oldest(); n <= 1000; ++n) {
    ASSERT_TRUE(ring.Next(0, &cursor, &number, &record));
    EXPECT_EQ(number, n);
    EXPECT_EQ(record, Record(n));
  }
  EXPECT_FALSE(ring.Next(0, &cursor, &number, &record));
}

// The writer laps the reader all the time: what the reader gets is whole, and in order.
TEST(EventRing, AReaderNeverSeesHalfARecord) {
  EventRing ring(2048, 200);
  constexpr std::uint64_t kRecords = 300'000;
  std::thread writer([&] {
    for (std::uint64_t n = 1; n <= kRecords; ++n) {
      const std::string record = Record(n);
      const auto room = ring.Begin(record.size());
      std::memcpy(room.data(), record.data(), record.size());
      ring.Commit();
    }
  });
  EventRing::Cursor cursor;
  std::uint64_t last = 0;
  std::uint64_t got = 0;
  while (last < kRecords) {
    std::uint64_t number = 0;
    std::string record;
    if (!ring.Next(last, &cursor, &number, &record)) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_GT(number, last);
    ASSERT_EQ(record, Record(number));
    last = number;
    ++got;
  }
  writer.join();
  EXPECT_GT(got, 0u);
}

}  // namespace
}  // namespace selvedge
