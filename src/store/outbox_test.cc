#include "store/outbox.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/event_batch.h"
#include "store/store_test_util.h"

namespace selvedge {
namespace {

const std::array<std::string_view, 1> kSchema = {kOutboxSchema};

OutboxRecord Record(int i, std::size_t size = 40) {
  v1::Event event;
  event.set_id("event-" + std::to_string(i));
  event.set_pipeline(std::string(size, 'p'));
  return OutboxRecord::Of(event);
}

OutboxRecord AggregateRecord(int i) {
  v1::Aggregate aggregate;
  aggregate.set_id("aggregate-" + std::to_string(i));
  return OutboxRecord::Of(aggregate);
}

std::vector<OutboxRecord> Records(int begin, int end, std::size_t size = 40) {
  std::vector<OutboxRecord> records;
  for (int i = begin; i < end; ++i) records.push_back(Record(i, size));
  return records;
}

class OutboxTest : public testing::Test {
 protected:
  void SetUp() override { Reopen(); }

  void Reopen(const OutboxOptions& options = {}) {
    outbox_.reset();
    database_.reset();
    auto database = Database::Open(folder_ / "outbox.db", kSchema);
    ASSERT_TRUE(database.has_value()) << database.error().ToString();
    database_ = *std::move(database);
    auto outbox = Outbox::Open(database_.get(), options);
    ASSERT_TRUE(outbox.has_value()) << outbox.error().ToString();
    outbox_ = *std::move(outbox);
  }

  bool Ack(std::uint64_t through) {
    v1::Ack ack;
    ack.set_stream(outbox_->View()->stream);
    ack.set_through(through);
    return outbox_->Acknowledge(ack).value_or(false);
  }

  std::vector<std::string> Ids(std::uint64_t from, std::size_t bytes = 1 << 20, int count = 1000) {
    std::vector<std::string> ids;
    const auto slice = outbox_->Peek(from, bytes, count);
    for (const OutboxRecord& record : slice->records) {
      ids.push_back(record.id);
    }
    return ids;
  }

  StoreFolder folder_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Outbox> outbox_;
};

TEST_F(OutboxTest, NumbersFromOneWithoutGapsAcrossRestarts) {
  const std::string stream = outbox_->View()->stream;
  EXPECT_EQ(stream.size(), 32U);
  EXPECT_EQ(outbox_->View()->next, 1U);
  ASSERT_EQ(outbox_->Append(Records(0, 3))->accepted, 3U);
  Reopen();
  ASSERT_EQ(outbox_->Append(Records(3, 5))->accepted, 2U);
  EXPECT_EQ(outbox_->View()->stream, stream);
  EXPECT_EQ(outbox_->View()->next, 6U);
  const auto slice = outbox_->Peek(2, 1 << 20, 2);
  EXPECT_EQ(slice->first, 2U);
  ASSERT_EQ(slice->records.size(), 2U);
  EXPECT_EQ(slice->records[0].id, "event-1");
  EXPECT_EQ(slice->records[0].body, Record(1).body);
}

TEST_F(OutboxTest, DoubledIdsAreIgnoredAlsoAfterTheirAck) {
  ASSERT_EQ(outbox_->Append(Records(0, 4))->accepted, 4U);
  const auto again = outbox_->Append(Records(2, 6));
  EXPECT_EQ(again->accepted, 2U);
  EXPECT_EQ(again->doubled, 2U);
  ASSERT_TRUE(Ack(6));
  Reopen();
  const auto after = outbox_->Append(Records(0, 7));
  EXPECT_EQ(after->accepted, 1U);
  EXPECT_EQ(after->doubled, 6U);
  EXPECT_EQ(outbox_->View()->counters.accepted, 7U);
}

TEST_F(OutboxTest, RemembersOnlySoManyIds) {
  Reopen({.remembered_ids = 100});
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(outbox_->Append(Records(100 * i, 100 * i + 100)).has_value());
    ASSERT_TRUE(Ack(outbox_->View()->next - 1));
  }
  EXPECT_LE((*database_->QueryInt("SELECT count(*) FROM outbox_id")).value_or(-1), 101);
  EXPECT_EQ(outbox_->Append(Records(950, 951))->doubled, 1U);
}

TEST_F(OutboxTest, AnAckForgetsWhatItCoversAndNoMore) {
  ASSERT_TRUE(outbox_->Append(Records(0, 5)).has_value());
  EXPECT_TRUE(Ack(2));
  EXPECT_FALSE(Ack(2));
  EXPECT_FALSE(Ack(1));
  EXPECT_EQ(outbox_->View()->oldest, 3U);
  EXPECT_EQ(outbox_->View()->counters.waiting, 3U);
  EXPECT_EQ(Ids(1), (std::vector<std::string>{"event-2", "event-3", "event-4"}));
  v1::Ack other;
  other.set_stream("another stream");
  other.set_through(5);
  EXPECT_FALSE(*outbox_->Acknowledge(other));
  EXPECT_TRUE(Ack(5));
  EXPECT_EQ(outbox_->View()->counters.waiting, 0U);
  EXPECT_EQ(outbox_->View()->counters.bytes, 0U);
  EXPECT_EQ(outbox_->Peek(1, 1000, 10)->first, 6U);
}

TEST_F(OutboxTest, AnAckFromTheFutureBeginsANewStream) {
  ASSERT_TRUE(outbox_->Append(Records(0, 5)).has_value());
  ASSERT_TRUE(Ack(2));
  const std::string before = outbox_->View()->stream;
  EXPECT_TRUE(Ack(9));
  EXPECT_NE(outbox_->View()->stream, before);
  EXPECT_EQ(outbox_->View()->oldest, 1U);
  EXPECT_EQ(outbox_->View()->next, 4U);
  EXPECT_EQ(Ids(1), (std::vector<std::string>{"event-2", "event-3", "event-4"}));
  ASSERT_TRUE(outbox_->Append(Records(5, 6)).has_value());
  EXPECT_TRUE(Ack(4));
  EXPECT_EQ(outbox_->View()->counters.waiting, 0U);
}

TEST_F(OutboxTest, AboveItsCapTheOldestGoAndAreCounted) {
  Reopen({.max_records = 10});
  EXPECT_EQ(outbox_->Append(Records(0, 8))->dropped, 0U);
  EXPECT_EQ(outbox_->Append(Records(8, 15))->dropped, 5U);
  OutboxView view = *outbox_->View();
  EXPECT_EQ(view.counters.waiting, 10U);
  EXPECT_EQ(view.counters.dropped, 5U);
  EXPECT_EQ(view.oldest, 6U);
  EXPECT_EQ(MakeEventBatch(*outbox_->Peek(1, 1 << 20, 100)).skip_to(), 6U);
  const std::uint64_t one = view.counters.bytes / 10;
  Reopen({.max_bytes = 3 * one + 10});
  EXPECT_EQ(outbox_->Append(Records(15, 16))->dropped, 8U);
  view = *outbox_->View();
  EXPECT_EQ(view.counters.waiting, 3U);
  EXPECT_LE(view.counters.bytes, 3 * one + 10);
  EXPECT_EQ(view.counters.accepted, view.counters.waiting + view.counters.dropped);
}

TEST_F(OutboxTest, ACapBelowOneRecordDropsAllAndGoesOn) {
  Reopen({.max_bytes = 10});
  EXPECT_EQ(outbox_->Append(Records(0, 3))->dropped, 3U);
  EXPECT_EQ(outbox_->View()->oldest, 4U);
  EXPECT_EQ(outbox_->View()->next, 4U);
}

TEST_F(OutboxTest, WhatIsTooLargeOrHasNoIdIsRefusedAndCounted) {
  std::vector<OutboxRecord> records = Records(0, 1);
  records.push_back(Record(1, kMaxEventBytes + 1));
  records.push_back({RecordKind::kEvent, "", "x"});
  records.push_back({RecordKind::kEvent, std::string(65, 'i'), "x"});
  const auto appended = outbox_->Append(records);
  EXPECT_EQ(appended->accepted, 1U);
  EXPECT_EQ(appended->refused, 3U);
  EXPECT_EQ(outbox_->View()->counters.refused, 3U);
  EXPECT_EQ(outbox_->View()->counters.ToProto().dropped(), 3U);
}

TEST_F(OutboxTest, ASliceKeepsToItsLimitsButHoldsOneAtLeast) {
  ASSERT_TRUE(outbox_->Append(Records(0, 10, 1000)).has_value());
  EXPECT_EQ(Ids(1, 2500).size(), 2U);
  EXPECT_EQ(Ids(1, 1).size(), 1U);
  EXPECT_EQ(Ids(1, 1 << 20, 4).size(), 4U);
  EXPECT_EQ(Ids(11).size(), 0U);
  EXPECT_EQ(Ids(~0ULL).size(), 0U);
}

TEST_F(OutboxTest, ABatchCarriesEventsThenAggregates) {
  const std::vector<OutboxRecord> records = {Record(0), AggregateRecord(0), AggregateRecord(1),
                                             Record(1)};
  ASSERT_TRUE(outbox_->Append(records).has_value());
  const v1::EventBatch batch = MakeEventBatch(*outbox_->Peek(1, 1 << 20, 100));
  EXPECT_EQ(batch.first(), 1U);
  EXPECT_EQ(batch.skip_to(), 0U);
  const auto list = UnpackEvents(batch);
  ASSERT_EQ(list->events_size(), 1);
  ASSERT_EQ(list->aggregates_size(), 2);
  EXPECT_EQ(list->events(0).id(), "event-0");
  EXPECT_EQ(list->aggregates(1).id(), "aggregate-1");
  EXPECT_EQ(Ids(4), (std::vector<std::string>{"event-1"}));
}

TEST_F(OutboxTest, ARecordThatDoesNotParseStillTakesItsNumber) {
  const std::vector<OutboxRecord> records = {{RecordKind::kEvent, "broken", "\xff\xff"}, Record(1)};
  ASSERT_TRUE(outbox_->Append(records).has_value());
  const auto list = UnpackEvents(MakeEventBatch(*outbox_->Peek(1, 1 << 20, 100)));
  ASSERT_EQ(list->events_size(), 2);
  EXPECT_EQ(list->events(0).id(), "broken");
}

TEST_F(OutboxTest, IsUndoneWithTheCallersTransaction) {
  {
    const Transaction lost(database_.get());
    ASSERT_EQ(outbox_->Append(Records(0, 3))->accepted, 3U);
  }
  EXPECT_EQ(outbox_->View()->next, 1U);
  EXPECT_EQ(outbox_->Append(Records(0, 3))->accepted, 3U);
}

TEST_F(OutboxTest, GivesTheDiskItsSpaceBack) {
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(outbox_->Append(Records(100 * i, 100 * i + 100, 5000)).has_value());
  }
  ASSERT_GT(database_->FileBytes(), 10'000'000);
  ASSERT_TRUE(Ack(2000));
  EXPECT_LT(std::filesystem::file_size(folder_ / "outbox.db"), 2'000'000U);
}

TEST_F(OutboxTest, OnAFullDiskNothingIsTakenAndAcksStillWork) {
  outbox_.reset();
  database_.reset();
  if (const std::string why = folder_.MakeSmallDisk(4096); !why.empty()) GTEST_SKIP() << why;
  Reopen();
  ASSERT_TRUE(outbox_->Append(Records(0, 100, 5000)).has_value());
  FillDisk(folder_ / "filler");
  int next = 100;
  for (;; next += 10) {
    const auto appended = outbox_->Append(Records(next, next + 10, 5000));
    if (!appended) {
      EXPECT_EQ(appended.error().code(), StatusCode::kResourceExhausted);
      break;
    }
    ASSERT_LT(next, 10'000);
  }
  EXPECT_EQ(outbox_->View()->counters.waiting, static_cast<std::uint64_t>(next));
  EXPECT_TRUE(Ack(90));
  EXPECT_EQ(outbox_->Append(Records(next, next + 10, 5000))->accepted, 10U);
}

// Appends as fast as it can and says after each commit how far it is, until it is killed.
[[noreturn]] void WriteForEver(const std::string& path, int from, int report) {
  auto database = Database::Open(path, kSchema);
  if (!database) _exit(3);
  auto outbox = Outbox::Open(database->get());
  if (!outbox) _exit(4);
  for (int i = from;; i += 5) {
    if (!(*outbox)->Append(Records(i, i + 5))) _exit(5);
    const int done = i + 5;
    if (::write(report, &done, sizeof done) != sizeof done) _exit(6);
    if (i % 50 == 0) {
      v1::Ack ack;
      ack.set_stream((*outbox)->View()->stream);
      ack.set_through((*outbox)->View()->oldest + 9);
      if (!(*outbox)->Acknowledge(ack)) _exit(7);
    }
  }
}

TEST_F(OutboxTest, AKillAtAnyInstantLosesNothingThatWasTaken) {
  outbox_.reset();
  database_.reset();
  std::mt19937 random(20'261'123);
  int written = 0;
  for (int round = 0; round < 25; ++round) {
    std::array<int, 2> report = {};
    ASSERT_EQ(::pipe(report.data()), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) WriteForEver(folder_ / "outbox.db", written, report[1]);
    ::close(report[1]);
    // Some commits, and then a moment that has nothing to do with them.
    int done = 0;
    for (unsigned i = 0; i < 1 + random() % 10; ++i) {
      ASSERT_EQ(::read(report[0], &done, sizeof done), static_cast<ssize_t>(sizeof done));
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    ::kill(child, SIGKILL);
    int state = 0;
    ASSERT_EQ(::waitpid(child, &state, 0), child);
    ASSERT_TRUE(WIFSIGNALED(state)) << "ended by itself with " << WEXITSTATUS(state);
    while (::read(report[0], &done, sizeof done) == static_cast<ssize_t>(sizeof done)) {
    }
    ::close(report[0]);
    Reopen();
    const OutboxView view = *outbox_->View();
    // All that was reported, and at most the one commit that was not reported yet.
    ASSERT_GE(view.counters.accepted, static_cast<std::uint64_t>(done));
    ASSERT_LE(view.counters.accepted, static_cast<std::uint64_t>(done) + 5);
    written = static_cast<int>(view.counters.accepted);
    ASSERT_EQ(view.next, static_cast<std::uint64_t>(written) + 1);
    std::uint64_t number = view.oldest;
    for (const std::string& id : Ids(1, 1 << 30, 1'000'000)) {
      ASSERT_EQ(id, "event-" + std::to_string(number - 1));
      ++number;
    }
    ASSERT_EQ(number, view.next);
    outbox_.reset();
    database_.reset();
  }
}

}  // namespace
}  // namespace selvedge
