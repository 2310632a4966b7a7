#pragma once

// A device or gateway as the control plane knows it. Values; thread-compatible.

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "orchestrate/application.h"
#include "proto/fleet.pb.h"

namespace selvedge {

enum class NodeStatus { kNever, kOnline, kStale, kOffline, kUnreachable };
std::string_view NodeStatusName(NodeStatus status);  // "online"

// What the tables keep of a node.
struct NodeRecord {
  std::string name;
  std::string site;
  v1::Role role = v1::DEVICE;
  std::string key_sha256;
  std::string certificate_sha256;
  // Of a gateway: what it tells the devices of its site to connect to.
  std::vector<std::string> offered_mqtt;
  std::string offered_registry;
  std::int64_t joined_ms = 0;     // Unix, as all
  std::int64_t last_seen_ms = 0;  // 0: never heard
  v1::Birth birth;                // the last one
  v1::State state;
  v1::Desired desired;  // as last published or about to be
};

struct Node : NodeRecord {
  // Monotonic, of the last state that came fresh; nothing was heard since the start where negative.
  Nanos heard = -1;
  NodeStatus status = NodeStatus::kNever;
  std::string status_reason;
  std::int64_t status_since_ms = 0;
  std::int64_t clock_offset_ms = 0;  // its clock less ours
  std::int64_t last_offset_ms = 0;   // of the state before
  int states_in_a_row = 0;           // of one boot, fresh, since the last birth or Will
  // Of boots that another one followed: they count for nothing when they come late, unless states
  // of that boot come. Newest last, at most four.
  std::deque<v1::Birth> old_births;

  // Whether `other` is the newest birth that is known of; the present one counts as old then. One
  // of a boot that was followed by another came late, unless the node's states are of that boot; a
  // Will speaks for its own boot only.
  bool Supersedes(const v1::Birth& other);
  // The birth of a boot that was followed by another and is the present one after all; where it is
  // not kept, the present one.
  v1::Birth TakeOldBirth(const std::string& boot);

  // One sentence about the node itself; empty where it is well.
  std::string Trouble() const;
  // A service is failing or refused, or there is trouble.
  bool Failing() const;
  bool InSync() const { return state.generation() == desired.generation(); }
};

// What an image of the manifest stands for since it was applied.
struct ResolvedImage {
  std::string
      digest;  // of the index or manifest; empty: another registry's tag, which the device asks
  std::string version;  // the tag, for people
};

struct ApplicationRecord {
  Application application;
  std::string manifest;                         // its document, as written
  std::int64_t created_ms = 0;                  // first applied: the age that placement goes by
  std::int64_t applied_ms = 0;                  // last applied
  std::map<std::string, ResolvedImage> images;  // by the image's text
};

}  // namespace selvedge
