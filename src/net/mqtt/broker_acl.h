#pragma once

// Access lists of the fleet's brokers (docs/formats/fleet.md, "Topics"), in mosquitto's format
// (mosquitto.conf(5), "acl_file"). Pure; thread-safe. Names that are no node names (core/topic.h)
// are left out: nothing that a person typed becomes a rule.

#include <string>
#include <string_view>
#include <vector>

namespace selvedge {

// A site's broker: the gateway may do everything under its site; everybody else, whose name is the
// CN of the certificate, may write the upward and read the downward topics of its own name.
std::string SiteBrokerAcl(std::string_view site, std::string_view gateway);

// A node that is a client of the cloud's broker.
struct CloudBrokerNode {
  std::string site;
  std::string name;
  // May write the upward and read the downward topics of every node under its site.
  bool gateway = false;
};
// `control_plane` (its certificate's CN) may do everything under the topic root; each of `nodes`
// what it needs; who is not listed may nothing.
std::string CloudBrokerAcl(std::string_view control_plane,
                           const std::vector<CloudBrokerNode>& nodes);

}  // namespace selvedge
