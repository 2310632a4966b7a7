#include "device/agent/state_report.h"

#include <gtest/gtest.h>

namespace selvedge {
namespace {

v1::State State(bool pipeline = false) {
  v1::State state;
  state.set_device("d");
  state.set_generation(1);
  v1::ServiceStatus* service = state.add_services();
  service->set_state(v1::RUNNING);
  if (pipeline) service->mutable_pipeline()->set_ready(true);
  return state;
}

TEST(StatePacer, TheFirstIsSentAndThenEveryThirtySeconds) {
  StatePacer pacer(5 * kSecond);
  EXPECT_TRUE(pacer.Due(State(), 0));
  for (Nanos now = 0; now < 30 * kSecond; now += kSecond) EXPECT_FALSE(pacer.Due(State(), now));
  EXPECT_EQ(pacer.NextTime(kSecond), 30 * kSecond);
  EXPECT_TRUE(pacer.Due(State(), 30 * kSecond));
}

TEST(StatePacer, WhatHappensIsSentAtOnceButAtMostEverySecond) {
  StatePacer pacer(5 * kSecond);
  EXPECT_TRUE(pacer.Due(State(), 0));
  v1::State changed = State();
  changed.set_generation(2);
  EXPECT_FALSE(pacer.Due(changed, kSecond / 2));
  EXPECT_EQ(pacer.NextTime(kSecond / 2), kSecond);
  EXPECT_TRUE(pacer.Due(changed, kSecond));
  changed.mutable_services(0)->set_state(v1::FAILING);
  EXPECT_TRUE(pacer.Due(changed, 10 * kSecond));
  changed.set_trouble("the disk is full");
  EXPECT_TRUE(pacer.Due(changed, 12 * kSecond));
}

TEST(StatePacer, NumbersThatAlwaysMoveWaitForTheInterval) {
  StatePacer pacer(5 * kSecond);
  v1::State state = State(true);
  EXPECT_TRUE(pacer.Due(state, 0));
  for (int i = 1; i < 5; ++i) {
    state.mutable_services(0)->mutable_pipeline()->set_frames_per_second(i);
    state.set_rss_bytes(static_cast<std::uint64_t>(i));
    state.set_sequence(static_cast<std::uint64_t>(i));
    EXPECT_FALSE(pacer.Due(state, i * kSecond));
  }
  EXPECT_TRUE(pacer.Due(state, 5 * kSecond));
  state.mutable_services(0)->mutable_pipeline()->set_ready(false);
  EXPECT_TRUE(pacer.Due(state, 6 * kSecond));
}

TEST(StatePacer, ASentenceThatCountsSecondsIsNoNews) {
  StatePacer pacer(5 * kSecond);
  v1::State state = State(true);
  state.mutable_services(0)->set_message("no frame for 12 seconds");
  EXPECT_TRUE(pacer.Due(state, 0));
  state.mutable_services(0)->set_message("no frame for 13 seconds");
  EXPECT_FALSE(pacer.Due(state, kSecond));
  state.mutable_services(0)->set_message("the source failed");
  EXPECT_TRUE(pacer.Due(state, 2 * kSecond));
}

TEST(StatePacer, ANewConnectionGetsItAtOnce) {
  StatePacer pacer(5 * kSecond);
  EXPECT_TRUE(pacer.Due(State(), 0));
  EXPECT_FALSE(pacer.Due(State(), kSecond));
  pacer.Forget();
  EXPECT_TRUE(pacer.Due(State(), kSecond));
}

}  // namespace
}  // namespace selvedge
