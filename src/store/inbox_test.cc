#include "store/inbox.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "core/event_batch.h"
#include "store/outbox.h"
#include "store/store_test_util.h"

namespace selvedge {
namespace {

const std::array<std::string_view, 2> kSchema = {kInboxSchema, kOutboxSchema};

v1::EventBatch Batch(std::string_view stream, std::uint64_t first, int events, int aggregates = 0) {
  v1::EventList list;
  for (int i = 0; i < events; ++i) {
    list.add_events()->set_id("e" + std::to_string(first + static_cast<std::uint64_t>(i)));
  }
  for (int i = 0; i < aggregates; ++i) {
    list.add_aggregates()->set_id("a" +
                                  std::to_string(first + static_cast<std::uint64_t>(events + i)));
  }
  v1::EventBatch batch;
  batch.set_stream(std::string(stream));
  batch.set_first(first);
  PackEvents(std::move(list), &batch);
  return batch;
}

class InboxTest : public testing::Test {
 protected:
  void SetUp() override {
    auto database = Database::Open(folder_ / "inbox.db", kSchema);
    ASSERT_TRUE(database.has_value());
    database_ = *std::move(database);
    inbox_.emplace(database_.get());
  }

  Inbox::Accepted Accept(const v1::EventBatch& batch, std::string_view sender = "cam-1") {
    auto accepted = inbox_->Accept(sender, batch, [this](v1::EventList* fresh) {
      for (const v1::Event& event : fresh->events()) got_.push_back(event.id());
      for (const v1::Aggregate& aggregate : fresh->aggregates()) got_.push_back(aggregate.id());
      return OkStatus();
    });
    EXPECT_TRUE(accepted.has_value()) << accepted.error().ToString();
    return accepted ? *accepted : Inbox::Accepted{};
  }

  std::vector<std::string> Take() { return std::exchange(got_, {}); }

  StoreFolder folder_;
  std::unique_ptr<Database> database_;
  std::optional<Inbox> inbox_;
  std::vector<std::string> got_;
};

using Ids = std::vector<std::string>;

TEST_F(InboxTest, TakesInOrderAndAnswersWithWhatIsCommitted) {
  auto accepted = Accept(Batch("s", 1, 2));
  EXPECT_EQ(accepted.ack.stream(), "s");
  EXPECT_EQ(accepted.ack.through(), 2U);
  EXPECT_EQ(accepted.fresh, 2U);
  EXPECT_EQ(Accept(Batch("s", 3, 1, 2)).ack.through(), 5U);
  EXPECT_EQ(Take(), (Ids{"e1", "e2", "e3", "a4", "a5"}));
}

TEST_F(InboxTest, OfAnOverlapOnlyTheNewPartIsTaken) {
  Accept(Batch("s", 1, 3));
  Take();
  auto accepted = Accept(Batch("s", 2, 3, 1));
  EXPECT_EQ(accepted.doubled, 2U);
  EXPECT_EQ(accepted.fresh, 2U);
  EXPECT_EQ(accepted.ack.through(), 5U);
  EXPECT_EQ(Take(), (Ids{"e4", "a5"}));
  // The events are had already, of the aggregates the last is new.
  EXPECT_EQ(Accept(Batch("s", 4, 1, 2)).ack.through(), 6U);
  EXPECT_EQ(Take(), (Ids{"a6"}));
  accepted = Accept(Batch("s", 1, 3));
  EXPECT_EQ(accepted.doubled, 3U);
  EXPECT_EQ(accepted.fresh, 0U);
  EXPECT_EQ(accepted.ack.through(), 6U);
  EXPECT_EQ(Take(), Ids{});
}

TEST_F(InboxTest, AGapIsIgnored) {
  Accept(Batch("s", 1, 1));
  Take();
  const auto accepted = Accept(Batch("s", 3, 2));
  EXPECT_TRUE(accepted.gap);
  EXPECT_EQ(accepted.fresh, 0U);
  EXPECT_EQ(accepted.ack.through(), 1U);
  EXPECT_EQ(Take(), Ids{});
  EXPECT_EQ(Accept(Batch("t", 2, 2)).ack.through(), 0U);
}

TEST_F(InboxTest, WhatTheSendersCapDroppedIsNotWaitedFor) {
  Accept(Batch("s", 1, 1));
  v1::EventBatch batch = Batch("s", 5, 2);
  batch.set_skip_to(5);
  auto accepted = Accept(batch);
  EXPECT_FALSE(accepted.gap);
  EXPECT_EQ(accepted.doubled, 0U);
  EXPECT_EQ(accepted.ack.through(), 6U);
  EXPECT_EQ(Take(), (Ids{"e1", "e5", "e6"}));
  // With nothing but the news that something is gone.
  batch = Batch("s", 9, 0);
  batch.set_skip_to(9);
  EXPECT_EQ(Accept(batch).ack.through(), 8U);
  EXPECT_EQ(Accept(Batch("s", 9, 1)).ack.through(), 9U);
}

TEST_F(InboxTest, ANewStreamBeginsAtOneAndLateCopiesOfTheOldAreKnown) {
  Accept(Batch("old", 1, 3));
  Take();
  EXPECT_EQ(Accept(Batch("new", 1, 2)).ack.through(), 2U);
  EXPECT_EQ(Take().size(), 2U);
  const auto late = Accept(Batch("old", 1, 3));
  EXPECT_EQ(late.fresh, 0U);
  EXPECT_EQ(late.ack.stream(), "old");
  EXPECT_EQ(late.ack.through(), 3U);
  EXPECT_EQ(Accept(Batch("new", 3, 1)).fresh, 1U);
}

TEST_F(InboxTest, StreamsOfASenderAreLimited) {
  for (int i = 0; i < 50; ++i) Accept(Batch("s" + std::to_string(i), 1, 1));
  EXPECT_EQ((*database_->QueryInt("SELECT count(*) FROM inbox")).value_or(-1), 4);
  EXPECT_EQ(Accept(Batch("s49", 1, 1)).fresh, 0U);
  EXPECT_EQ(Accept(Batch("s46", 1, 1)).fresh, 0U);
}

TEST_F(InboxTest, SendersAreApart) {
  EXPECT_EQ(Accept(Batch("s", 1, 2), "cam-1").fresh, 2U);
  EXPECT_EQ(Accept(Batch("s", 1, 2), "cam-2").fresh, 2U);
  ASSERT_TRUE(inbox_->Forget("cam-1").ok());
  EXPECT_EQ(Accept(Batch("s", 1, 2), "cam-1").fresh, 2U);
  EXPECT_EQ(Accept(Batch("s", 1, 2), "cam-2").fresh, 0U);
}

TEST_F(InboxTest, WhatTheCallbackWroteGoesWithTheNumbers) {
  auto outbox = Outbox::Open(database_.get());
  ASSERT_TRUE(outbox.has_value());
  const auto accept = [&](Status end) {
    return inbox_->Accept("cam-1", Batch("s", 1, 2), [&](v1::EventList* fresh) {
      std::vector<OutboxRecord> records;
      for (const v1::Event& event : fresh->events()) records.push_back(OutboxRecord::Of(event));
      EXPECT_TRUE((*outbox)->Append(records).has_value());
      return end;
    });
  };
  EXPECT_EQ(accept(InternalError("no")).error().code(), StatusCode::kInternal);
  EXPECT_EQ((*outbox)->View()->counters.accepted, 0U);
  EXPECT_EQ(accept(OkStatus())->fresh, 2U);
  EXPECT_EQ((*outbox)->View()->counters.accepted, 2U);
  EXPECT_EQ(accept(OkStatus())->fresh, 0U);
  EXPECT_EQ((*outbox)->View()->counters.accepted, 2U);
}

TEST_F(InboxTest, ABatchThatIsNoneIsRefused) {
  const auto code = [&](const v1::EventBatch& batch) {
    const auto accepted = inbox_->Accept("cam-1", batch, [](v1::EventList*) { return OkStatus(); });
    return accepted ? StatusCode::kOk : accepted.error().code();
  };
  EXPECT_EQ(code(Batch("", 1, 1)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Batch(std::string(65, 's'), 1, 1)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Batch("s", 0, 1)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Batch("s", ~0ULL, 1)), StatusCode::kInvalidArgument);
  v1::EventBatch batch = Batch("s", 1, 1);
  batch.set_skip_to(~0ULL);
  EXPECT_EQ(code(batch), StatusCode::kInvalidArgument);
  batch = Batch("s", 1, 0);
  batch.set_zstd("no frame of zstd");
  EXPECT_EQ(code(batch), StatusCode::kInvalidArgument);
  EXPECT_EQ((*database_->QueryInt("SELECT count(*) FROM inbox")).value_or(-1), 0);
}

}  // namespace
}  // namespace selvedge
