#include "cloud/events/event_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "store/store_test_util.h"

namespace selvedge {
namespace {

using testing::ElementsAre;

class EventTablesTest : public testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open(const EventTablesOptions& options = {}) {
    events_.reset();
    auto events = EventTables::Open(folder_ / "events.db", options, clock_);
    ASSERT_TRUE(events) << events.error().ToString();
    events_ = *std::move(events);
  }

  // Numbers `first` on of device a's stream, ids "e1", "e2", …
  static v1::EventBatch Batch(std::uint64_t first, int count, const std::string& stream = "stream",
                              const std::string& device = "a") {
    v1::EventBatch batch;
    batch.set_stream(stream);
    batch.set_first(first);
    for (int i = 0; i < count; ++i) {
      v1::Event* event = batch.add_events();
      event->set_id("e" + std::to_string(first + static_cast<std::uint64_t>(i)));
      event->set_device(device);
      event->set_pipeline("app/detector");
      event->mutable_decision()->set_rule("kerb");
      event->add_detections()->set_label("person");
    }
    return batch;
  }
  EventTables::Accepted Accept(const v1::EventBatch& batch, const std::string& sender = "a",
                               const std::string& site = "plant-1") {
    auto accepted = events_->Accept(site, sender, batch,
                                    [&](std::string_view device) { return device == "a"; });
    EXPECT_TRUE(accepted) << accepted.error().ToString();
    return accepted ? *accepted : EventTables::Accepted{};
  }
  std::vector<std::string> Ids(const EventFilter& filter) {
    const auto events = events_->Query(filter);
    EXPECT_TRUE(events) << events.error().ToString();
    std::vector<std::string> ids;
    for (const StoredEvent& stored : *events) ids.push_back(stored.event.id());
    return ids;
  }

  StoreFolder folder_{MemoryFolder()};
  FakeClock clock_;
  std::unique_ptr<EventTables> events_;
};

TEST_F(EventTablesTest, EveryEventIsStoredOnceHoweverOftenItComes) {
  EXPECT_EQ(Accept(Batch(1, 3)).ack.through(), 3U);
  EXPECT_EQ(Accept(Batch(1, 3)).ack.through(), 3U);
  const auto overlap = Accept(Batch(2, 3));
  EXPECT_EQ(overlap.ack.through(), 4U);
  ASSERT_EQ(overlap.fresh.size(), 1U);
  EXPECT_EQ(overlap.fresh[0].event.id(), "e4");
  EXPECT_THAT(Ids({}), ElementsAre("e1", "e2", "e3", "e4"));
  Open();
  Accept(Batch(1, 4));
  EXPECT_THAT(Ids({}), ElementsAre("e1", "e2", "e3", "e4"));
  EXPECT_EQ(events_->Counters()->events, 4U);
  EXPECT_EQ(events_->Counters()->doubled, 9U);
}

TEST_F(EventTablesTest, AnEventThatComesByTwoWaysCountsOnce) {
  Accept(Batch(1, 2, "device"), "a");
  const auto again = Accept(Batch(1, 3, "gateway"), "gw");
  EXPECT_EQ(again.ack.through(), 3U);
  EXPECT_EQ(again.fresh.size(), 1U);
  EXPECT_EQ(again.doubled, 2U);
  EXPECT_EQ(events_->Counters()->events, 3U);
}

TEST_F(EventTablesTest, AGapIsIgnoredAndAnsweredWithWhatIsThere) {
  Accept(Batch(1, 2));
  const auto gap = Accept(Batch(5, 2));
  EXPECT_EQ(gap.ack.through(), 2U);
  EXPECT_TRUE(gap.fresh.empty());
  EXPECT_THAT(Ids({}), ElementsAre("e1", "e2"));
}

TEST_F(EventTablesTest, EventsOfOthersAreLeftOutAndStillAcknowledged) {
  v1::EventBatch batch = Batch(1, 2);
  batch.mutable_events(1)->set_device("somebody-else");
  const auto accepted = Accept(batch);
  EXPECT_EQ(accepted.ack.through(), 2U);
  EXPECT_THAT(Ids({}), ElementsAre("e1"));
  EXPECT_EQ(events_->foreign(), 1U);
}

TEST_F(EventTablesTest, WhatIsNoBatchIsAnErrorAndNoAck) {
  v1::EventBatch batch;
  batch.set_zstd("no frame");
  batch.set_stream("s");
  batch.set_first(1);
  const auto accepted = events_->Accept("s", "a", batch, [](std::string_view) { return true; });
  ASSERT_FALSE(accepted);
  EXPECT_EQ(accepted.error().code(), StatusCode::kInvalidArgument);
}

TEST_F(EventTablesTest, FiltersAndPages) {
  v1::EventBatch batch = Batch(1, 6);
  batch.mutable_events(0)->set_pipeline("other/x");
  batch.mutable_events(1)->mutable_decision()->set_rule("gate");
  batch.mutable_events(2)->mutable_detections(0)->set_label("car_1");
  batch.mutable_events(3)->mutable_detections(0)->set_label("carX1");
  Accept(batch);
  clock_.Advance(10 * kSecond);
  Accept(Batch(1, 1, "other"), "b", "plant-2");  // doubled id: not stored
  v1::EventBatch late = Batch(7, 1);
  Accept(late);
  EXPECT_THAT(Ids({.application = "other"}), ElementsAre("e1"));
  EXPECT_THAT(Ids({.rule = "gate"}), ElementsAre("e2"));
  EXPECT_THAT(Ids({.label = "car_1"}), ElementsAre("e3")) << "_ is no wildcard";
  EXPECT_THAT(Ids({.label = "ca"}), testing::IsEmpty());
  EXPECT_THAT(Ids({.device = "b"}), testing::IsEmpty());
  EXPECT_THAT(Ids({.site = "plant-1", .since_ms = clock_.Wall() / kMillisecond}),
              ElementsAre("e7"));
  EXPECT_THAT(Ids({.until_ms = clock_.Wall() / kMillisecond, .limit = 2}), ElementsAre("e1", "e2"));
  const auto page = events_->Query({.limit = 2});
  EXPECT_THAT(Ids({.after = page->back().cursor, .limit = 2}), ElementsAre("e3", "e4"));
  const auto back = events_->Query({.descending = true, .limit = 2});
  EXPECT_EQ(back->front().event.id(), "e7");
  EXPECT_THAT(Ids({.after = back->back().cursor, .descending = true, .limit = 1}),
              ElementsAre("e5"));
}

TEST_F(EventTablesTest, AggregatesAreKeptAndFound) {
  v1::EventBatch batch;
  batch.set_stream("s");
  batch.set_first(1);
  for (int i = 0; i < 3; ++i) {
    v1::Aggregate* aggregate = batch.add_aggregates();
    aggregate->set_id("g" + std::to_string(i));
    aggregate->set_device("a");
    aggregate->set_end_unix_ns((i + 1) * 60 * kSecond);
    aggregate->set_events(static_cast<std::uint64_t>(i));
  }
  EXPECT_EQ(Accept(batch, "gw").aggregates, 3U);
  EXPECT_EQ(Accept(batch, "gw").aggregates, 0U);
  const auto found = events_->QueryAggregates({.device = "a", .since_ms = 120'000});
  ASSERT_TRUE(found && found->size() == 2);
  EXPECT_EQ(found->front().aggregate.id(), "g1");
  EXPECT_EQ(found->front().site, "plant-1");
}

TEST_F(EventTablesTest, OldEventsGo) {
  Open({.keep_ms = 3'600'000});
  Accept(Batch(1, 2));
  clock_.Advance(3601 * kSecond);
  Accept(Batch(3, 1));
  ASSERT_TRUE(events_->Tidy().ok());
  EXPECT_THAT(Ids({}), ElementsAre("e3"));
  EXPECT_EQ(events_->Counters()->expired, 2U);
  EXPECT_EQ(events_->Counters()->events, 3U);
  Accept(Batch(1, 3));
  EXPECT_THAT(Ids({}), ElementsAre("e3")) << "what is gone does not come back";
}

TEST_F(EventTablesTest, TheOldestGoWhereTheyTakeTooMuchDiskAndItIsGivenBack) {
  Open({.max_bytes = 4 << 20});
  for (int i = 0; i < 40; ++i) {
    v1::EventBatch batch = Batch(static_cast<std::uint64_t>(i) * 100 + 1, 100);
    for (v1::Event& event : *batch.mutable_events()) event.set_source(std::string(2000, 'x'));
    Accept(batch);
  }
  const std::int64_t before = events_->FileBytes();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(events_->Tidy().ok());
  Open();  // merges the log into the file
  EXPECT_LE(events_->FileBytes(), 5 << 20);
  EXPECT_LT(events_->FileBytes(), before / 2);
  EXPECT_EQ(Ids({.descending = true, .limit = 1}), std::vector<std::string>{"e4000"});
  EXPECT_GT(Ids({.limit = 1000}).size(), 900U) << "no more than needed";
}

TEST(EventTablesFull, AFullDiskTakesNothingAndGoesOnWhenThereIsRoom) {
  StoreFolder folder;
  if (const std::string why = folder.MakeSmallDisk(1024); !why.empty()) GTEST_SKIP() << why;
  FakeClock clock;
  auto events = EventTables::Open(folder / "events.db", {}, clock);
  ASSERT_TRUE(events) << events.error().ToString();
  v1::EventBatch batch;
  batch.set_stream("s");
  batch.set_first(1);
  for (int i = 0; i < 300; ++i) {
    v1::Event* event = batch.add_events();
    event->set_id("e" + std::to_string(i));
    event->set_device("a");
    event->set_source(std::string(300, 'x'));
  }
  FillDisk(folder / "filler");
  const auto any = [](std::string_view) { return true; };
  const auto refused = (*events)->Accept("s", "a", batch, any);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), StatusCode::kResourceExhausted);
  std::filesystem::remove(folder / "filler");
  const auto accepted = (*events)->Accept("s", "a", batch, any);
  ASSERT_TRUE(accepted) << accepted.error().ToString();
  EXPECT_EQ(accepted->fresh.size(), 300U);
}

TEST(ApplicationOf, IsWhatStandsBeforeTheSlash) {
  EXPECT_EQ(ApplicationOf("app/service"), "app");
  EXPECT_EQ(ApplicationOf("alone"), "alone");
}

}  // namespace
}  // namespace selvedge
