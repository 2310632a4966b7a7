#pragma once

// NodeRelay: which births and states of a site's devices go up, and when. Pure: what came and the
// time in, what to publish out; thread-compatible.
//
// A birth goes up at once. A state goes up at once where something happened; where only its numbers
// moved (frames, latencies, bytes), the newest goes up once an interval: the uplink is narrow, and
// a state holds everything, so none in between is missed. What comes from a name that is not a
// member of the site goes nowhere, but the last word of each is kept (a few): a device may be heard
// before the control plane has told us of it.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "core/topic.h"
#include "proto/fleet.pb.h"

namespace selvedge {

struct NodeRelayOptions {
  Nanos state_interval = 5 * kSecond;
  // A state older than this is not said again after a reconnection: a device that lives sends one
  // every 30 seconds.
  Nanos fresh = 35 * kSecond;
  std::size_t max_strangers = 256;
};

class NodeRelay {
 public:
  struct Message {
    std::string node;
    TopicKind kind = TopicKind::kBirth;
    std::string payload;
  };
  using Messages = std::vector<Message>;

  explicit NodeRelay(NodeRelayOptions options = {}) : options_(options) {}

  // Who belongs to the site. What members said before they were is given; `gone` gets those who no
  // longer are.
  Messages SetMembers(std::set<std::string> members, Nanos now, std::vector<std::string>* gone);
  bool IsMember(std::string_view node) const { return members_.contains(std::string(node)); }

  // What a node said; what to publish up now. Payloads that do not parse, or that speak for another
  // node, give nothing and are counted.
  Messages OnBirth(const std::string& node, std::string payload, Nanos now);
  Messages OnState(const std::string& node, std::string payload, Nanos now);
  // The uplink is there (again): everything that is fresh, once.
  Messages OnUplink(Nanos now);
  // States whose interval is over.
  Messages Due(Nanos now);
  std::optional<Nanos> NextTime() const;

  std::uint64_t malformed() const { return malformed_; }
  std::uint64_t strangers() const { return strangers_; }  // messages of names that are no members
  // Called for strangers' messages of other kinds, too.
  void CountStranger() { ++strangers_; }
  // Members whose last birth said that they are there.
  int online() const;

 private:
  struct Node {
    std::string birth;
    bool online = false;
    std::string state;
    Nanos state_came = 0;
    std::string meaning;  // of the last state sent up, without what moves all the time
    Nanos state_sent = 0;
    bool waiting = false;  // a state that was not sent up yet
  };
  Node* NodeFor(const std::string& node);
  void SendState(const std::string& name, Node* node, Nanos now, Messages* messages);

  NodeRelayOptions options_;
  std::set<std::string> members_;
  std::map<std::string, Node> nodes_;  // members, and at most max_strangers others
  std::uint64_t malformed_ = 0;
  std::uint64_t strangers_ = 0;
};

// A state without what moves all the time: two that are equal in this say the same to a person.
std::string MeaningOf(v1::State state);

}  // namespace selvedge
