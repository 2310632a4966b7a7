#include "net/mqtt/broker_acl.h"

#include "core/topic.h"

namespace selvedge {
namespace {

void AppendNodeRules(std::string_view prefix, std::string_view site, std::string_view node,
                     std::string* text) {
  for (int i = 0; i < kTopicKinds; ++i) {
    const auto kind = static_cast<TopicKind>(i);
    text->append(prefix).append(IsUpward(kind) ? " write " : " read ");
    text->append(kTopicRoot).append(site).append("/").append(node).append("/");
    text->append(TopicKindName(kind)).append("\n");
  }
}

}  // namespace

std::string SiteBrokerAcl(std::string_view site, std::string_view gateway) {
  std::string text;
  if (!IsNodeName(site) || !IsNodeName(gateway)) return text;
  text.append("user ").append(gateway).append("\ntopic readwrite ");
  text.append(kTopicRoot).append(site).append("/#\n\n");
  // %u is the CN of the certificate, that is the node's name.
  AppendNodeRules("pattern", site, "%u", &text);
  return text;
}

std::string CloudBrokerAcl(std::string_view control_plane,
                           const std::vector<CloudBrokerNode>& nodes) {
  std::string text;
  if (!IsNodeName(control_plane)) return text;
  text.append("user ").append(control_plane).append("\ntopic readwrite ");
  text.append(kTopicRoot).append("#\n");
  for (const CloudBrokerNode& node : nodes) {
    if (!IsNodeName(node.site) || !IsNodeName(node.name) || node.name == control_plane) continue;
    text.append("\nuser ").append(node.name).append("\n");
    AppendNodeRules("topic", node.site, node.gateway ? "+" : node.name, &text);
  }
  return text;
}

}  // namespace selvedge
