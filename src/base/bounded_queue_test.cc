#include "base/bounded_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace selvedge {
namespace {

TEST(DropPolicy, NamesReadBack) {
  for (const DropPolicy p :
       {DropPolicy::kBlock, DropPolicy::kDropOldest, DropPolicy::kDropNewest}) {
    EXPECT_EQ(ParseDropPolicy(DropPolicyName(p)), p);
  }
  EXPECT_EQ(ParseDropPolicy("drop"), std::nullopt);
  EXPECT_EQ(ParseDropPolicy(""), std::nullopt);
}

TEST(BoundedQueue, IsFirstInFirstOut) {
  BoundedQueue<int> queue(3, DropPolicy::kDropNewest);
  for (int round = 0; round < 5; ++round) {  // around the ring
    for (int i = 0; i < 3; ++i) {
      const auto pushed = queue.Push(round * 10 + i);
      EXPECT_EQ(pushed.outcome, PushOutcome::kAccepted);
      EXPECT_EQ(pushed.evicted, std::nullopt);
    }
    EXPECT_EQ(queue.size(), 3U);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(queue.Pop(), round * 10 + i);
    EXPECT_EQ(queue.TryPop(), std::nullopt);
  }
}

TEST(BoundedQueue, DropNewestGivesTheItemBack) {
  BoundedQueue<std::unique_ptr<int>> queue(1, DropPolicy::kDropNewest);
  queue.Push(std::make_unique<int>(1));
  auto pushed = queue.Push(std::make_unique<int>(2));
  EXPECT_EQ(pushed.outcome, PushOutcome::kRefusedFull);
  ASSERT_TRUE(pushed.evicted.has_value());
  EXPECT_EQ(**pushed.evicted, 2);
  EXPECT_EQ(**queue.Pop(), 1);
}

TEST(BoundedQueue, DropOldestGivesTheOldestBack) {
  BoundedQueue<int> queue(2, DropPolicy::kDropOldest);
  queue.Push(1);
  queue.Push(2);
  const auto pushed = queue.Push(3);
  EXPECT_EQ(pushed.outcome, PushOutcome::kReplacedOldest);
  EXPECT_EQ(pushed.evicted, 1);
  EXPECT_EQ(queue.size(), 2U);
  EXPECT_EQ(queue.Pop(), 2);
  EXPECT_EQ(queue.Pop(), 3);
}

TEST(BoundedQueue, ClosedRefusesAndDrains) {
  for (const DropPolicy policy :
       {DropPolicy::kBlock, DropPolicy::kDropOldest, DropPolicy::kDropNewest}) {
    BoundedQueue<int> queue(2, policy);
    queue.Push(1);
    queue.Close();
    const auto pushed = queue.Push(2);
    EXPECT_EQ(pushed.outcome, PushOutcome::kRefusedClosed);
    EXPECT_EQ(pushed.evicted, 2);
    EXPECT_EQ(queue.Pop(), 1);
    EXPECT_EQ(queue.Pop(), std::nullopt);
    queue.Close();  // again
  }
}

TEST(BoundedQueue, CapacityIsAtLeastOne) {
  BoundedQueue<int> queue(0, DropPolicy::kDropNewest);
  EXPECT_EQ(queue.capacity(), 1U);
  EXPECT_EQ(queue.Push(1).outcome, PushOutcome::kAccepted);
}

// Counts its instances, moved-from ones too: moving alone does not empty a slot.
struct Counted {
  explicit Counted(int* alive) : alive(alive) { ++*alive; }
  Counted(const Counted& other) : alive(other.alive) { ++*alive; }
  Counted& operator=(const Counted&) = default;
  ~Counted() { --*alive; }
  int* alive;
};

TEST(BoundedQueue, PoppedItemsAreLetGo) {
  int alive = 0;
  BoundedQueue<Counted> queue(2, DropPolicy::kDropOldest);
  queue.Push(Counted(&alive));
  queue.Push(Counted(&alive));
  queue.Push(Counted(&alive));
  EXPECT_EQ(alive, 2) << "the evicted one went with the result";
  queue.Pop();
  EXPECT_EQ(alive, 1) << "a slot that was emptied must not keep its item alive";
  queue.TryPop();
  EXPECT_EQ(alive, 0);
}

TEST(BoundedQueue, BlockWaitsForRoom) {
  BoundedQueue<int> queue(1, DropPolicy::kBlock);
  queue.Push(1);
  std::atomic<bool> pushed = false;
  std::jthread producer([&] {
    EXPECT_EQ(queue.Push(2).outcome, PushOutcome::kAccepted);
    pushed = true;
  });
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), 2);  // only there once the producer got its room
  producer.join();
  EXPECT_TRUE(pushed);
}

TEST(BoundedQueue, CloseWakesWhoWaits) {
  BoundedQueue<int> full(1, DropPolicy::kBlock);
  full.Push(1);
  BoundedQueue<int> empty(1, DropPolicy::kBlock);
  std::jthread producer([&] { EXPECT_EQ(full.Push(2).outcome, PushOutcome::kRefusedClosed); });
  std::jthread consumer([&] { EXPECT_EQ(empty.Pop(), std::nullopt); });
  full.Close();
  empty.Close();
}

// Several producers and consumers: every item that went in comes out of exactly one place.
void Stress(DropPolicy policy) {
  constexpr int kProducers = 4;
  constexpr int kConsumers = 3;
  constexpr int kEach = 5000;
  BoundedQueue<int> queue(7, policy);
  std::vector<std::atomic<int>> seen(kProducers * kEach);
  std::atomic<int> evicted = 0;
  std::vector<std::jthread> consumers;
  for (int c = 0; c < kConsumers; ++c) {
    consumers.emplace_back([&] {
      while (auto item = queue.Pop()) ++seen[*item];
    });
  }
  {
    std::vector<std::jthread> producers;
    for (int p = 0; p < kProducers; ++p) {
      producers.emplace_back([&, p] {
        for (int i = 0; i < kEach; ++i) {
          const auto pushed = queue.Push(p * kEach + i);
          if (!pushed.evicted) continue;
          ++seen[*pushed.evicted];
          ++evicted;
        }
      });
    }
  }
  queue.Close();
  consumers.clear();
  for (std::size_t i = 0; i < seen.size(); ++i) ASSERT_EQ(seen[i], 1) << "item " << i;
  EXPECT_TRUE(policy != DropPolicy::kBlock || evicted == 0);
}

TEST(BoundedQueue, StressBlock) {
  Stress(DropPolicy::kBlock);
}
TEST(BoundedQueue, StressDropOldest) {
  Stress(DropPolicy::kDropOldest);
}
TEST(BoundedQueue, StressDropNewest) {
  Stress(DropPolicy::kDropNewest);
}

// Items of one producer keep their order, whatever is dropped between them.
TEST(BoundedQueue, OrderHoldsUnderDrops) {
  BoundedQueue<int> queue(3, DropPolicy::kDropOldest);
  std::jthread producer([&] {
    for (int i = 0; i < 20'000; ++i) queue.Push(i);
    queue.Close();
  });
  int last = -1;
  while (const auto item = queue.Pop()) {
    ASSERT_GT(*item, last);
    last = *item;
  }
  EXPECT_EQ(last, 19'999) << "the newest is never the one dropped";
}

}  // namespace
}  // namespace selvedge
