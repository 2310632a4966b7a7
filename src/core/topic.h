#pragma once

// Names of nodes and the topics they meet under (docs/formats/fleet.md).

#include <optional>
#include <string>
#include <string_view>

namespace selvedge {

inline constexpr std::string_view kTopicRoot = "selvedge/v1/";

// 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or a digit.
bool IsNodeName(std::string_view name);

enum class TopicKind { kBirth, kState, kEvent, kResult, kAck, kDesired, kCommand };
inline constexpr int kTopicKinds = 7;

std::string_view TopicKindName(TopicKind kind);  // "birth"
// From the node upwards; the others go down to it.
constexpr bool IsUpward(TopicKind kind) {
  return kind <= TopicKind::kResult;
}

struct Topic {
  std::string site;
  std::string node;
  TopicKind kind = TopicKind::kBirth;

  friend bool operator==(const Topic&, const Topic&) = default;
};

// "selvedge/v1/plant-1/jetson-1/state". `site` and `node` may be "+" in a subscription's filter.
std::string TopicName(std::string_view site, std::string_view node, TopicKind kind);
// Nothing where it is none of ours, or holds a name that is none.
std::optional<Topic> ParseTopic(std::string_view name);

}  // namespace selvedge
