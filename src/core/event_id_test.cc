#include "core/event_id.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace selvedge {
namespace {

std::string Next(EventIdGenerator* generator) {
  return std::string(generator->Next().text());
}

TEST(EventId, TimeIsThatOfTheSpecificationsExample) {
  // github.com/ulid/spec: ulid(1469918176385) starts with 01ARYZ6S41.
  const FakeClock clock(0, 1'469'918'176'385 * kMillisecond);
  EventIdGenerator generator(clock, 1);
  const std::string id = Next(&generator);
  EXPECT_EQ(id.size(), 26U);
  EXPECT_EQ(id.substr(0, 10), "01ARYZ6S41");
  EXPECT_EQ(EventIdMillis(id), 1'469'918'176'385);
}

TEST(EventId, SameSeedAndTimeSameIdsOtherSeedOthers) {
  const FakeClock clock;
  EventIdGenerator a(clock, 7);
  EventIdGenerator b(clock, 7);
  EventIdGenerator c(clock, 8);
  for (int i = 0; i < 10; ++i) {
    const std::string id = Next(&a);
    EXPECT_EQ(id, Next(&b));
    EXPECT_NE(id, Next(&c));
  }
}

TEST(EventId, EveryIdIsGreaterThanTheOneBefore) {
  FakeClock clock;
  EventIdGenerator generator(clock, 42);
  std::string last;
  std::set<std::string> tails;
  for (int i = 0; i < 30'000; ++i) {
    if (i % 3 == 0) clock.Advance(kMillisecond / 2);
    if (i % 1000 == 999) clock.SetWall(clock.Wall() - 5 * kSecond);  // the wall clock steps back
    const std::string id = Next(&generator);
    ASSERT_LT(last, id);
    ASSERT_TRUE(EventIdMillis(id).has_value()) << id;
    tails.insert(id.substr(10));
    last = id;
  }
  EXPECT_EQ(tails.size(), 30'000U) << "the random parts differ";
}

TEST(EventId, RandomPartUsesAllItsCharacters) {
  FakeClock clock;
  EventIdGenerator generator(clock, 3);
  std::vector<std::set<char>> seen(16);
  for (int i = 0; i < 2000; ++i) {
    clock.Advance(kMillisecond);
    const std::string id = Next(&generator);
    for (std::size_t k = 0; k < 16; ++k) seen[k].insert(id[10 + k]);
  }
  for (const auto& letters : seen) EXPECT_EQ(letters.size(), 32U);
}

TEST(EventId, ClockBeforeTheEpochCountsAsTheEpoch) {
  FakeClock clock;
  clock.SetWall(-5 * kSecond);
  EventIdGenerator generator(clock, 1);
  EXPECT_EQ(EventIdMillis(generator.Next().text()), 0);
}

TEST(EventId, RefusesWhatIsNoUlid) {
  EXPECT_TRUE(EventIdMillis("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"));
  EXPECT_FALSE(EventIdMillis("8ZZZZZZZZZZZZZZZZZZZZZZZZZ")) << "129 bits";
  EXPECT_FALSE(EventIdMillis(""));
  EXPECT_FALSE(EventIdMillis("01ARYZ6S41TSV4RRFFQ69G5FA"));
  EXPECT_FALSE(EventIdMillis("01ARYZ6S41TSV4RRFFQ69G5FAVX"));
  EXPECT_FALSE(EventIdMillis("01ARYZ6S41TSV4RRFFQ69G5FAU")) << "U is not in the alphabet";
  EXPECT_FALSE(EventIdMillis("01aryz6s41tsv4rrffq69g5fav"));
}

TEST(EventId, SeedsDiffer) {
  EXPECT_NE(EventIdGenerator::RandomSeed(), EventIdGenerator::RandomSeed());
}

}  // namespace
}  // namespace selvedge
