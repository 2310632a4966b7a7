#include "core/topic.h"

#include <algorithm>
#include <array>

namespace selvedge {
namespace {

constexpr std::size_t kMaxName = 63;
constexpr std::array<std::string_view, kTopicKinds> kKindNames = {
    "birth", "state", "event", "result", "ack", "desired", "command"};

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// What stands before the first '/', which is taken away with it.
std::string_view TakeLevel(std::string_view* rest) {
  const std::size_t slash = rest->find('/');
  const std::string_view level = rest->substr(0, slash);
  rest->remove_prefix(slash == std::string_view::npos ? rest->size() : slash + 1);
  return level;
}

}  // namespace

bool IsNodeName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && IsAlphanumeric(name.front()) &&
         IsAlphanumeric(name.back()) &&
         std::ranges::all_of(name, [](char c) { return IsAlphanumeric(c) || c == '-'; });
}

std::string_view TopicKindName(TopicKind kind) {
  return kKindNames[static_cast<std::size_t>(kind)];
}

std::string TopicName(std::string_view site, std::string_view node, TopicKind kind) {
  std::string name(kTopicRoot);
  name.append(site).append("/").append(node).append("/").append(TopicKindName(kind));
  return name;
}

std::optional<Topic> ParseTopic(std::string_view name) {
  if (!name.starts_with(kTopicRoot)) return std::nullopt;
  name.remove_prefix(kTopicRoot.size());
  const std::string_view site = TakeLevel(&name);
  const std::string_view node = TakeLevel(&name);
  const auto* const kind = std::ranges::find(kKindNames, name);
  if (!IsNodeName(site) || !IsNodeName(node) || kind == kKindNames.end()) return std::nullopt;
  return Topic{std::string(site), std::string(node),
               static_cast<TopicKind>(kind - kKindNames.begin())};
}

}  // namespace selvedge
