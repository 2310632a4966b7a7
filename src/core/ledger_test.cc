#include "core/ledger.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace selvedge {
namespace {

TEST(Ledger, BalancesOnceEveryFrameIsAccountedFor) {
  Ledger ledger;
  for (int i = 0; i < 10; ++i) ledger.CountIn();
  for (int i = 0; i < 5; ++i) ledger.CountLocal();
  ledger.CountCloud();
  ledger.CountStored();
  ledger.CountDropped(DropReason::kQueueFull);
  ledger.CountDropped(DropReason::kQueueFull);
  EXPECT_FALSE(ledger.Read().Balances());
  ledger.CountDropped(DropReason::kStale);
  const Ledger::Snapshot snapshot = ledger.Read();
  EXPECT_TRUE(snapshot.Balances());
  EXPECT_EQ(snapshot.TotalDropped(), 3U);
  EXPECT_EQ(snapshot.ToString(),
            "in 10 = local 5 + cloud 1 + stored 1 + dropped 3 (queue_full 2, stale 1)");
}

TEST(Ledger, TellsWhatIsInFlight) {
  Ledger ledger;
  ledger.CountIn();
  ledger.CountIn();
  ledger.CountLocal();
  EXPECT_EQ(ledger.Read().ToString(),
            "in 2 = local 1 + cloud 0 + stored 0 + dropped 0 + in flight 1");
}

TEST(Ledger, EmptyBalances) {
  EXPECT_TRUE(Ledger().Read().Balances());
  EXPECT_EQ(Ledger().Read().ToString(), "in 0 = local 0 + cloud 0 + stored 0 + dropped 0");
}

TEST(Ledger, ReasonsHaveNamesOfTheirOwn) {
  const std::string_view names[] = {"queue_full", "stale", "corrupt", "error", "shutdown"};
  for (int i = 0; i < kDropReasonCount; ++i)
    EXPECT_EQ(DropReasonName(static_cast<DropReason>(i)), names[i]);
}

TEST(Ledger, CountsFromManyThreadsAndNeverMoreOutThanIn) {
  Ledger ledger;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 20'000; ++i) {
          ledger.CountIn();
          t % 2 == 0 ? ledger.CountLocal() : ledger.CountDropped(DropReason::kError);
        }
      });
    }
    for (int i = 0; i < 1000; ++i) {
      const Ledger::Snapshot snapshot = ledger.Read();
      ASSERT_GE(snapshot.in, snapshot.Accounted());
    }
  }
  EXPECT_TRUE(ledger.Read().Balances());
  EXPECT_EQ(ledger.Read().in, 80'000U);
}

}  // namespace
}  // namespace selvedge
