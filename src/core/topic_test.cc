#include "core/topic.h"

#include <gtest/gtest.h>

namespace selvedge {
namespace {

TEST(NodeName, IsAHostsLabel) {
  for (const char* name : {"a", "7", "jetson-1", "plant-1"}) EXPECT_TRUE(IsNodeName(name)) << name;
  EXPECT_TRUE(IsNodeName(std::string(63, 'a')));
  for (const char* name : {"", "-a", "a-", "A", "a.b", "a/b", "+", "#", "a b", "\xc3\xa4"}) {
    EXPECT_FALSE(IsNodeName(name)) << name;
  }
  EXPECT_FALSE(IsNodeName(std::string(64, 'a')));
}

TEST(TopicName, ThereAndBack) {
  for (int kind = 0; kind < kTopicKinds; ++kind) {
    const Topic topic{"plant-1", "jetson-1", static_cast<TopicKind>(kind)};
    EXPECT_EQ(ParseTopic(TopicName(topic.site, topic.node, topic.kind)), topic);
  }
  EXPECT_EQ(TopicName("plant-1", "+", TopicKind::kState), "selvedge/v1/plant-1/+/state");
}

TEST(TopicName, OthersAreNone) {
  for (const char* name :
       {"", "selvedge/v1/", "selvedge/v1/a/b", "selvedge/v1/a/b/", "selvedge/v1/a/b/states",
        "selvedge/v1/a/b/state/", "selvedge/v2/a/b/state", "selvedge/v1/A/b/state",
        "selvedge/v1//b/state", "selvedge/v1/+/b/state", "x/selvedge/v1/a/b/state"}) {
    EXPECT_FALSE(ParseTopic(name)) << name;
  }
}

TEST(TopicKindTest, UpwardAndDownward) {
  EXPECT_TRUE(IsUpward(TopicKind::kBirth));
  EXPECT_TRUE(IsUpward(TopicKind::kResult));
  EXPECT_FALSE(IsUpward(TopicKind::kAck));
  EXPECT_FALSE(IsUpward(TopicKind::kCommand));
}

}  // namespace
}  // namespace selvedge
