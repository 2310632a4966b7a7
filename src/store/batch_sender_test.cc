#include "store/batch_sender.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "core/event_batch.h"
#include "store/store_test_util.h"

namespace selvedge {
namespace {

class BatchSenderTest : public testing::Test {
 protected:
  FakeClock clock_{100 * kSecond};
  BatchSenderOptions options_{.window = 3, .gather = 50 * kMillisecond, .max_records = 10};
  BatchSender sender_{options_, clock_};

  // Sends what is due in batches of at most 10; returns the first numbers.
  std::vector<std::uint64_t> SendAll(std::uint64_t next) {
    std::vector<std::uint64_t> firsts;
    while (const auto from = sender_.Due()) {
      firsts.push_back(*from);
      sender_.Sent(*from, std::min<std::uint64_t>(10, next - *from));
    }
    return firsts;
  }
};

using Firsts = std::vector<std::uint64_t>;

TEST_F(BatchSenderTest, SendsNothingUnlessConnected) {
  sender_.Holds(1, 100);
  EXPECT_EQ(sender_.Due(), std::nullopt);
  EXPECT_EQ(sender_.NextTime(), std::nullopt);
  sender_.Connected();
  EXPECT_EQ(sender_.Due(), 1U);
  sender_.Disconnected();
  EXPECT_EQ(sender_.Due(), std::nullopt);
}

TEST_F(BatchSenderTest, GathersForAShortWhile) {
  sender_.Connected();
  sender_.Holds(1, 2);
  EXPECT_EQ(sender_.Due(), std::nullopt);
  EXPECT_EQ(sender_.NextTime(), clock_.Monotonic() + options_.gather);
  clock_.Advance(options_.gather - 1);
  sender_.Holds(1, 5);  // does not begin the wait anew
  EXPECT_EQ(sender_.Due(), std::nullopt);
  clock_.Advance(1);
  EXPECT_EQ(SendAll(5), Firsts{1});
  // A full batch does not wait.
  sender_.Holds(1, 15);
  EXPECT_EQ(SendAll(15), Firsts{5});
}

TEST_F(BatchSenderTest, HasOnlySoManyOnTheWay) {
  sender_.Connected();
  sender_.Holds(1, 101);
  EXPECT_EQ(SendAll(101), (Firsts{1, 11, 21}));
  sender_.Holds(11, 101);
  EXPECT_EQ(SendAll(101), (Firsts{31}));
  sender_.Holds(41, 101);
  EXPECT_EQ(SendAll(101), (Firsts{41, 51, 61}));
}

TEST_F(BatchSenderTest, WithoutAnAckItBeginsAgainAfterTheLastAcknowledged) {
  sender_.Connected();
  sender_.Holds(1, 101);
  SendAll(101);
  clock_.Advance(2 * kSecond);
  sender_.Holds(11, 101);
  SendAll(101);
  EXPECT_EQ(sender_.NextTime(), clock_.Monotonic() + options_.ack_timeout);
  clock_.Advance(options_.ack_timeout - 1);
  EXPECT_EQ(SendAll(101), Firsts{});
  clock_.Advance(1);
  EXPECT_EQ(SendAll(101), (Firsts{11, 21, 31}));
  EXPECT_EQ(sender_.retries(), 1U);
}

TEST_F(BatchSenderTest, AfterAReconnectionItBeginsAgain) {
  sender_.Connected();
  sender_.Holds(1, 31);
  EXPECT_EQ(SendAll(31), (Firsts{1, 11, 21}));
  sender_.Disconnected();
  sender_.Connected();
  EXPECT_EQ(SendAll(31), (Firsts{1, 11, 21}));
  sender_.Connected();  // said twice
  EXPECT_EQ(SendAll(31), (Firsts{1, 11, 21}));
}

TEST_F(BatchSenderTest, WhatTheCapDroppedIsNotSent) {
  sender_.Connected();
  sender_.Holds(1, 11);
  EXPECT_EQ(SendAll(11), Firsts{1});
  sender_.Holds(51, 71);
  EXPECT_EQ(SendAll(71), (Firsts{51, 61}));
}

TEST_F(BatchSenderTest, AnotherStreamBeginsAtOne) {
  sender_.Connected();
  sender_.Holds(40, 71);
  SendAll(71);
  sender_.Reset();
  sender_.Holds(1, 32);
  EXPECT_EQ(sender_.Due(), 1U);
}

TEST_F(BatchSenderTest, WhatCannotBeHandedOverWaits) {
  sender_.Connected();
  sender_.Holds(1, 20);
  ASSERT_EQ(sender_.Due(), 1U);
  sender_.Refused();
  EXPECT_EQ(sender_.Due(), std::nullopt);
  ASSERT_TRUE(sender_.NextTime().has_value());
  clock_.Advance(*sender_.NextTime() - clock_.Monotonic());
  EXPECT_EQ(sender_.Due(), 1U);
}

TEST_F(BatchSenderTest, NothingToDoIsNoTime) {
  sender_.Connected();
  EXPECT_EQ(sender_.NextTime(), std::nullopt);
  sender_.Holds(1, 3);
  clock_.Advance(kSecond);
  SendAll(3);
  sender_.Holds(3, 3);
  EXPECT_EQ(sender_.NextTime(), std::nullopt);
}

TEST(OutboxSenderTest, SendsWhatTheOutboxHoldsAndStopsWithItsAcks) {
  const StoreFolder folder;
  const std::array<std::string_view, 1> schema = {kOutboxSchema};
  auto database = Database::Open(folder / "a.db", schema);
  ASSERT_TRUE(database.has_value());
  auto outbox = Outbox::Open(database->get());
  ASSERT_TRUE(outbox.has_value());
  FakeClock clock(kSecond);
  std::vector<v1::EventBatch> sent;
  bool takes = true;
  OutboxSender sender(outbox->get(), clock,
                      [&](const v1::EventBatch& batch) {
                        if (takes) sent.push_back(batch);
                        return takes;
                      },
                      {.gather = 0});
  const auto append = [&](const std::string& id) {
    v1::Event event;
    event.set_id(id);
    const std::array<OutboxRecord, 1> one = {OutboxRecord::Of(event)};
    ASSERT_TRUE((*outbox)->Append(one).has_value());
  };
  append("a");
  ASSERT_TRUE(sender.Pump().ok());
  EXPECT_TRUE(sent.empty());
  sender.Connected();
  takes = false;
  ASSERT_TRUE(sender.Pump().ok());
  takes = true;
  clock.Advance(*sender.NextTime() - clock.Monotonic());
  ASSERT_TRUE(sender.Pump().ok());
  append("b");
  ASSERT_TRUE(sender.Pump().ok());
  ASSERT_EQ(sent.size(), 2U);
  EXPECT_EQ(sent[0].stream(), (*outbox)->View()->stream);
  EXPECT_EQ(sent[1].first(), 2U);
  EXPECT_EQ(UnpackEvents(sent[1])->events(0).id(), "b");
  v1::Ack ack;
  ack.set_stream(sent[0].stream());
  ack.set_through(2);
  ASSERT_TRUE(sender.OnAck(ack).ok());
  ASSERT_TRUE(sender.Pump().ok());
  EXPECT_EQ(sent.size(), 2U);
  EXPECT_EQ(sender.NextTime(), std::nullopt);
  // The receiver knows more than we do: all of it again, under another name.
  append("c");
  ack.set_through(10);
  ASSERT_TRUE(sender.OnAck(ack).ok());
  ASSERT_TRUE(sender.Pump().ok());
  ASSERT_EQ(sent.size(), 3U);
  EXPECT_NE(sent[2].stream(), sent[0].stream());
  EXPECT_EQ(sent[2].first(), 1U);
}

}  // namespace
}  // namespace selvedge
