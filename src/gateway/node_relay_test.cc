#include "gateway/node_relay.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace selvedge {
namespace {

std::string BirthOf(const std::string& device, bool online = true) {
  v1::Birth birth;
  birth.set_device(device);
  birth.set_online(online);
  return birth.SerializeAsString();
}

v1::State State(const std::string& device, double fps = 10, v1::ServiceState state = v1::RUNNING) {
  v1::State message;
  message.set_device(device);
  message.set_generation(3);
  v1::ServiceStatus* service = message.add_services();
  service->set_name("detector");
  service->set_state(state);
  service->mutable_pipeline()->set_frames_per_second(fps);
  (*service->mutable_pipeline()->mutable_ledger()->mutable_dropped())["stale"] = 1;
  return message;
}

std::string StateOf(const std::string& device, double fps = 10,
                    v1::ServiceState state = v1::RUNNING) {
  return State(device, fps, state).SerializeAsString();
}

std::vector<std::string> Summary(const NodeRelay::Messages& messages) {
  std::vector<std::string> lines;
  for (const NodeRelay::Message& message : messages) {
    lines.push_back(message.node + "/" + std::string(TopicKindName(message.kind)));
  }
  return lines;
}

using Lines = std::vector<std::string>;

class NodeRelayTest : public ::testing::Test {
 protected:
  NodeRelayTest() { SetMembers({"pi-1", "pi-2"}); }
  NodeRelay::Messages SetMembers(std::set<std::string> members) {
    gone_.clear();
    return relay_.SetMembers(std::move(members), now_, &gone_);
  }
  Lines OnState(const std::string& device, double fps, v1::ServiceState state = v1::RUNNING) {
    return Summary(relay_.OnState(device, StateOf(device, fps, state), now_));
  }

  Nanos now_ = 1000 * kSecond;
  NodeRelay relay_;
  std::vector<std::string> gone_;
};

TEST_F(NodeRelayTest, BirthsGoUpAtOnceAndUnchanged) {
  const std::string birth =
      BirthOf("pi-1") + "\xd2\x3e\x03new";  // an unknown field of a newer peer
  const NodeRelay::Messages messages = relay_.OnBirth("pi-1", birth, now_);
  ASSERT_EQ(Summary(messages), (Lines{"pi-1/birth"}));
  EXPECT_EQ(messages[0].payload, birth);
  EXPECT_EQ(relay_.online(), 1);
  EXPECT_EQ(Summary(relay_.OnBirth("pi-1", BirthOf("pi-1", false), now_)), (Lines{"pi-1/birth"}));
  EXPECT_EQ(relay_.online(), 0);
}

TEST_F(NodeRelayTest, NumbersThatMoveGoUpOnceAnInterval) {
  EXPECT_EQ(OnState("pi-1", 10), (Lines{"pi-1/state"}));
  for (int i = 0; i < 4; ++i) {
    now_ += kSecond;
    EXPECT_EQ(OnState("pi-1", 11 + i), Lines{});
    EXPECT_TRUE(relay_.Due(now_).empty());
  }
  EXPECT_EQ(relay_.NextTime(), 1005 * kSecond);
  now_ += kSecond;
  const NodeRelay::Messages due = relay_.Due(now_);
  ASSERT_EQ(Summary(due), (Lines{"pi-1/state"}));
  EXPECT_EQ(due[0].payload, StateOf("pi-1", 14)) << "the newest";
  EXPECT_FALSE(relay_.NextTime().has_value());
  EXPECT_TRUE(relay_.Due(now_ + 100 * kSecond).empty()) << "nothing new to say";
}

TEST_F(NodeRelayTest, WhatHappenedGoesUpAtOnce) {
  EXPECT_EQ(OnState("pi-1", 10), (Lines{"pi-1/state"}));
  now_ += kMillisecond;
  EXPECT_EQ(OnState("pi-1", 10, v1::FAILING), (Lines{"pi-1/state"}));
  now_ += kMillisecond;
  EXPECT_EQ(OnState("pi-1", 12, v1::FAILING), Lines{});
  v1::State other = State("pi-1", 12, v1::FAILING);
  other.set_generation(4);
  EXPECT_EQ(Summary(relay_.OnState("pi-1", other.SerializeAsString(), now_)),
            (Lines{"pi-1/state"}));
  other.set_trouble("the disk is full");
  EXPECT_EQ(Summary(relay_.OnState("pi-1", other.SerializeAsString(), now_)),
            (Lines{"pi-1/state"}));
}

TEST_F(NodeRelayTest, ADeviceDoesNotHoldBackAnother) {
  EXPECT_EQ(OnState("pi-1", 10), (Lines{"pi-1/state"}));
  EXPECT_EQ(OnState("pi-2", 10), (Lines{"pi-2/state"}));
}

TEST_F(NodeRelayTest, StrangersAreCountedAndHeardOnceTheyAreMembers) {
  EXPECT_EQ(Summary(relay_.OnBirth("pi-3", BirthOf("pi-3"), now_)), Lines{});
  EXPECT_EQ(OnState("pi-3", 10), Lines{});
  EXPECT_EQ(relay_.strangers(), 2U);
  EXPECT_EQ(relay_.online(), 0);
  EXPECT_EQ(Summary(SetMembers({"pi-1", "pi-2", "pi-3"})), (Lines{"pi-3/birth", "pi-3/state"}));
  EXPECT_EQ(relay_.online(), 1);
  EXPECT_EQ(Summary(SetMembers({"pi-1", "pi-2", "pi-3"})), Lines{}) << "once";
}

TEST_F(NodeRelayTest, StrangersCannotFillTheMemory) {
  NodeRelay relay(NodeRelayOptions{.max_strangers = 2});
  std::vector<std::string> gone;
  for (int i = 0; i < 10; ++i) {
    const std::string name = "x-" + std::to_string(i);
    relay.OnBirth(name, BirthOf(name), now_);
  }
  EXPECT_EQ(relay.SetMembers({"x-0", "x-1", "x-2", "x-9"}, now_, &gone).size(), 2U);
  EXPECT_EQ(relay.strangers(), 10U);
}

TEST_F(NodeRelayTest, WhoLeavesIsForgotten) {
  OnState("pi-1", 10);
  relay_.OnBirth("pi-1", BirthOf("pi-1"), now_);
  SetMembers({"pi-2"});
  EXPECT_EQ(gone_, (Lines{"pi-1"}));
  EXPECT_TRUE(relay_.OnUplink(now_).empty());
  EXPECT_EQ(OnState("pi-1", 10), Lines{});
}

TEST_F(NodeRelayTest, AReconnectionSaysAgainWhatIsFresh) {
  relay_.OnBirth("pi-1", BirthOf("pi-1"), now_);
  OnState("pi-1", 10);
  now_ += 30 * kSecond;
  relay_.OnBirth("pi-2", BirthOf("pi-2"), now_);
  OnState("pi-2", 10);
  now_ += 10 * kSecond;
  // The state of pi-1 is 40 seconds old: it may be dead.
  EXPECT_EQ(Summary(relay_.OnUplink(now_)), (Lines{"pi-1/birth", "pi-2/birth", "pi-2/state"}));
}

TEST_F(NodeRelayTest, WhatSpeaksForAnotherOrIsMalformedGoesNowhere) {
  EXPECT_TRUE(relay_.OnBirth("pi-1", BirthOf("pi-2"), now_).empty());
  EXPECT_TRUE(relay_.OnState("pi-1", StateOf("pi-2"), now_).empty());
  EXPECT_TRUE(relay_.OnBirth("pi-1", "\xff\xff", now_).empty());
  EXPECT_TRUE(relay_.OnState("pi-1", "\xff\xff", now_).empty());
  EXPECT_TRUE(relay_.OnBirth("pi-1", "", now_).empty());
  EXPECT_EQ(relay_.malformed(), 5U);
}

TEST(MeaningOfTest, LeavesOutWhatMovesAllTheTime) {
  v1::State before = State("pi-1", 10);
  v1::State after = State("pi-1", 25);
  after.set_sequence(9);
  after.set_time_unix_ns(77);
  after.set_rss_bytes(1);
  after.mutable_outbox()->set_waiting(5);
  after.set_temperature_celsius(60);
  EXPECT_EQ(MeaningOf(before), MeaningOf(after));
  after.mutable_services(0)->mutable_pipeline()->set_source_state("reconnecting");
  EXPECT_NE(MeaningOf(before), MeaningOf(after));
}

}  // namespace
}  // namespace selvedge
