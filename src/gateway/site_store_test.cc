#include "gateway/site_store.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "core/event_batch.h"

namespace selvedge {
namespace {

class SiteStoreTest : public ::testing::Test {
 protected:
  SiteStoreTest() {
    std::string pattern = ::testing::TempDir() + "site_store_XXXXXX";
    folder_ = mkdtemp(pattern.data());
    Open();
  }
  ~SiteStoreTest() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Open(SiteStoreOptions options = {}) {
    store_.reset();
    auto store = SiteStore::Open(folder_ + "/gateway.db", clock_, options);
    ASSERT_TRUE(store.has_value()) << store.error().ToString();
    store_ = *std::move(store);
  }

  // Events first .. first+count-1 of a device's stream.
  static v1::EventBatch Batch(std::uint64_t first, int count, bool rules = true,
                              const std::string& stream = "s1") {
    v1::EventBatch batch;
    batch.set_stream(stream);
    batch.set_first(first);
    for (int i = 0; i < count; ++i) {
      v1::Event* event = batch.add_events();
      event->set_id(stream + "-" + std::to_string(first + static_cast<std::uint64_t>(i)));
      event->set_device("a liar");
      event->set_pipeline("safety");
      if (rules) event->mutable_decision()->set_rule("r");
      event->mutable_times()->set_total_us(1000);
    }
    return batch;
  }
  SiteStore::Taken Accept(const std::string& device, const v1::EventBatch& batch,
                          v1::GatewayPolicy::Raw raw = v1::GatewayPolicy::RULES) {
    const auto taken = store_->Accept(device, batch, raw);
    EXPECT_TRUE(taken.has_value()) << taken.error().ToString();
    return taken.value_or(SiteStore::Taken{});
  }
  std::vector<OutboxRecord> Waiting() {
    return store_->outbox()->Peek(1, std::size_t{1} << 20, 1000)->records;
  }

  FakeClock clock_{1000 * kSecond};
  std::string folder_;
  std::unique_ptr<SiteStore> store_;
};

TEST_F(SiteStoreTest, WhatIsTakenIsAcknowledgedAndPassedOnOnce) {
  SiteStore::Taken taken = Accept("pi-1", Batch(1, 3));
  EXPECT_EQ(taken.ack.stream(), "s1");
  EXPECT_EQ(taken.ack.through(), 3U);
  EXPECT_EQ(taken.fresh, 3U);
  EXPECT_EQ(taken.passed_on, 3U);
  taken = Accept("pi-1", Batch(2, 3));
  EXPECT_EQ(taken.ack.through(), 4U);
  EXPECT_EQ(taken.fresh, 1U);
  EXPECT_EQ(taken.doubled, 2U);
  taken = Accept("pi-1", Batch(9, 1));
  EXPECT_TRUE(taken.gap);
  EXPECT_EQ(taken.ack.through(), 4U);
  EXPECT_EQ(Waiting().size(), 4U);
}

TEST_F(SiteStoreTest, AnEventIsOfTheDeviceThatSentIt) {
  Accept("pi-1", Batch(1, 1));
  v1::Event event;
  ASSERT_TRUE(event.ParseFromString(Waiting().at(0).body));
  EXPECT_EQ(event.device(), "pi-1");
}

TEST_F(SiteStoreTest, ThePolicyKeepsFrameRecordsHereAndCountsThem) {
  EXPECT_EQ(Accept("pi-1", Batch(1, 5, false)).passed_on, 0U);
  EXPECT_EQ(Accept("pi-1", Batch(6, 5, false), v1::GatewayPolicy::ALL).passed_on, 5U);
  clock_.Advance(60 * kSecond);
  EXPECT_EQ(*store_->CloseWindows(60 * kSecond), 1);
  const std::vector<OutboxRecord> records = Waiting();
  ASSERT_EQ(records.size(), 6U);
  ASSERT_EQ(records[5].kind, RecordKind::kAggregate);
  v1::Aggregate aggregate;
  ASSERT_TRUE(aggregate.ParseFromString(records[5].body));
  EXPECT_EQ(aggregate.events(), 10U);
  EXPECT_EQ(aggregate.device(), "pi-1");
  EXPECT_EQ(aggregate.application(), "safety");
}

TEST_F(SiteStoreTest, AWindowClosesOnceItIsOldAndThenAnotherBegins) {
  EXPECT_FALSE(store_->NextClose(60 * kSecond).has_value());
  Accept("pi-1", Batch(1, 2));
  EXPECT_EQ(store_->NextClose(60 * kSecond), 1060 * kSecond);
  clock_.Advance(59 * kSecond);
  EXPECT_EQ(*store_->CloseWindows(60 * kSecond), 0);
  clock_.Advance(kSecond);
  EXPECT_EQ(*store_->CloseWindows(60 * kSecond), 1);
  EXPECT_EQ(*store_->CloseWindows(60 * kSecond), 0);
  EXPECT_FALSE(store_->NextClose(60 * kSecond).has_value()) << "an empty window is no aggregate";
  clock_.Advance(500 * kSecond);
  Accept("pi-1", Batch(3, 1));
  EXPECT_EQ(store_->NextClose(60 * kSecond), 1620 * kSecond);
}

TEST_F(SiteStoreTest, ARestartGoesOnWithTheOpenWindow) {
  Accept("pi-1", Batch(1, 2));
  clock_.Advance(30 * kSecond);
  Open();
  Accept("pi-1", Batch(3, 1));
  EXPECT_EQ(Accept("pi-1", Batch(1, 3)).fresh, 0U);
  clock_.Advance(30 * kSecond);
  EXPECT_EQ(*store_->CloseWindows(60 * kSecond), 1);
  v1::Aggregate aggregate;
  ASSERT_TRUE(aggregate.ParseFromString(Waiting().back().body));
  EXPECT_EQ(aggregate.events(), 3U);
}

TEST_F(SiteStoreTest, AWindowIsNotStuckByAClockThatWentBack) {
  Accept("pi-1", Batch(1, 2));
  clock_.SetWall(0);  // 1970
  Open();
  clock_.Advance(60 * kSecond);
  EXPECT_EQ(*store_->CloseWindows(60 * kSecond), 1);
}

TEST_F(SiteStoreTest, ABatchThatIsRefusedLeavesNothingBehind) {
  v1::EventBatch batch = Batch(1, 2);
  batch.clear_stream();
  EXPECT_EQ(store_->Accept("pi-1", batch, v1::GatewayPolicy::RULES).error().code(),
            StatusCode::kInvalidArgument);
  EXPECT_TRUE(Waiting().empty());
  EXPECT_FALSE(store_->NextClose(kSecond).has_value());
}

TEST_F(SiteStoreTest, WindowsAreLimitedAndEventsGoOn) {
  Open({.max_windows = 2});
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Accept("pi-" + std::to_string(i), Batch(1, 1, true, "s" + std::to_string(i))).fresh,
              1U);
  }
  clock_.Advance(60 * kSecond);
  EXPECT_EQ(*store_->CloseWindows(60 * kSecond), 2);
  EXPECT_EQ(Waiting().size(), 7U);
}

TEST_F(SiteStoreTest, DesiredDocumentsAreKeptAndOlderOnesIgnored) {
  v1::Desired desired;
  desired.set_device("pi-1");
  desired.set_generation(5);
  const std::string five = desired.SerializeAsString() + "\xd2\x3e\x03new";  // of a newer peer
  EXPECT_TRUE(*store_->KeepDesired("pi-1", desired, five));
  EXPECT_FALSE(*store_->KeepDesired("pi-1", desired, five));
  desired.set_generation(4);
  EXPECT_FALSE(*store_->KeepDesired("pi-1", desired, desired.SerializeAsString()));
  Open();
  EXPECT_EQ(store_->FindDesired("pi-1")->value(), five);
  EXPECT_FALSE(store_->FindDesired("pi-2")->has_value());
  EXPECT_EQ(store_->AllDesired()->size(), 1U);
}

TEST_F(SiteStoreTest, DesiredDocumentsAreLimited) {
  Open({.max_desired = 2});
  v1::Desired desired;
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(store_->KeepDesired("pi-" + std::to_string(i), desired, "x").has_value());
  }
  EXPECT_EQ(store_->KeepDesired("pi-9", desired, "x").error().code(),
            StatusCode::kResourceExhausted);
  // One that is there can still change.
  EXPECT_TRUE(store_->KeepDesired("pi-1", desired, "y").has_value());
}

TEST_F(SiteStoreTest, AForgottenDeviceBeginsAnew) {
  Accept("pi-1", Batch(1, 2));
  v1::Desired desired;
  EXPECT_TRUE(*store_->KeepDesired("pi-1", desired, "x"));
  EXPECT_EQ(store_->Forget("pi-1"), OkStatus());
  EXPECT_FALSE(store_->FindDesired("pi-1")->has_value());
  EXPECT_FALSE(store_->NextClose(kSecond).has_value());
  // Another device under its name, with a stream of its own.
  EXPECT_EQ(Accept("pi-1", Batch(1, 1, true, "s2")).ack.through(), 1U);
}

}  // namespace
}  // namespace selvedge
