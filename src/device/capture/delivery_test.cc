#include "device/capture/delivery.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace selvedge {
namespace {

TEST(Delivery, NumbersFramesAndTellsTheWallTime) {
  FakeClock clock(100, 5000);
  Delivery delivery(clock);
  std::vector<Frame> frames;
  delivery.Begin([&](Frame frame) { frames.push_back(std::move(frame)); }, nullptr);
  Frame frame;
  frame.captured = 40;
  EXPECT_TRUE(delivery.Deliver(std::move(frame)));
  EXPECT_TRUE(delivery.Deliver(Frame()));
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].sequence, 0u);
  EXPECT_EQ(frames[0].captured_wall, 4940);
  EXPECT_EQ(frames[1].sequence, 1u);
  EXPECT_EQ(delivery.Stats().frames, 2u);
}

TEST(Delivery, NothingAfterStop) {
  Delivery delivery(Clock::System());
  int frames = 0;
  int ends = 0;
  delivery.Begin([&](const Frame&) { ++frames; }, [&](const Status&) { ++ends; });
  delivery.BeginStop();
  delivery.WaitIdle();
  EXPECT_FALSE(delivery.Deliver(Frame()));
  delivery.End(OkStatus());
  EXPECT_FALSE(delivery.SleepUntil(Clock::System().Monotonic() + 3600 * kSecond));
  EXPECT_EQ(frames, 0);
  EXPECT_EQ(ends, 0);
  EXPECT_EQ(delivery.Stats().frames, 0u);
}

TEST(Delivery, EndsOnce) {
  Delivery delivery(Clock::System());
  int ends = 0;
  delivery.Begin(nullptr, [&](const Status&) { ++ends; });
  delivery.End(OkStatus());
  delivery.End(DataLossError("again"));
  EXPECT_EQ(ends, 1);
}

TEST(Delivery, StopWaitsForTheCallbackThatRuns) {
  Delivery delivery(Clock::System());
  std::atomic<bool> inside{false};
  std::atomic<bool> let_go{false};
  std::atomic<bool> left{false};
  delivery.Begin(
      [&](const Frame&) {
        inside.store(true);
        inside.notify_all();
        let_go.wait(false);
        left.store(true);
      },
      nullptr);
  std::thread capture([&] { EXPECT_FALSE(delivery.Deliver(Frame())); });
  inside.wait(false);
  delivery.BeginStop();
  std::thread stopper([&] {
    delivery.WaitIdle();
    EXPECT_TRUE(left.load());
  });
  let_go.store(true);
  let_go.notify_all();
  capture.join();
  stopper.join();
}

TEST(Delivery, StopWakesASleeper) {
  Delivery delivery(Clock::System());
  std::thread sleeper(
      [&] { EXPECT_FALSE(delivery.SleepUntil(Clock::System().Monotonic() + 3600 * kSecond)); });
  delivery.BeginStop();
  sleeper.join();
}

TEST(Delivery, AnInjectedClockIsFollowed) {
  FakeClock clock;
  Delivery delivery(clock);
  std::thread sleeper([&] { EXPECT_TRUE(delivery.SleepUntil(3600 * kSecond)); });
  clock.Advance(3600 * kSecond);
  sleeper.join();
  EXPECT_TRUE(delivery.SleepUntil(1));
}

TEST(Delivery, TellsTheCpuTimeOfItsThreads) {
  Delivery delivery(Clock::System());
  EXPECT_EQ(delivery.Stats().decode_cpu, 0);
  Nanos settled = 0;
  for (int round = 0; round < 2; ++round) {
    std::thread([&] {
      delivery.AccountThread();
      volatile unsigned work = 0;
      while (delivery.Stats().decode_cpu <= settled + kMillisecond) work = work + 1;
      delivery.SettleThread();
    }).join();
    EXPECT_GT(delivery.Stats().decode_cpu, settled + kMillisecond);
    settled = delivery.Stats().decode_cpu;
    EXPECT_EQ(delivery.Stats().decode_cpu, settled);
  }
}

}  // namespace
}  // namespace selvedge
