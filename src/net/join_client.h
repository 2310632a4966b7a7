#pragma once

// A node's side of joining a fleet (docs/formats/fleet.md, "Joining"): what a join token becomes,
// and where it is kept.
//
// A folder of the node's own (made with mode 0700) holds `key.pem` (mode 0600, never sent),
// `ca.pem`, `certificate.pem` and `node.json`, written last: a folder with a node.json has joined.
// Free functions; JoinFleet waits for the network (at most a minute a try) and belongs to no thread
// that must not. Failure: Unavailable where nobody answers (try again), Unauthenticated where the
// token is refused or the answer cannot be trusted, AlreadyExists where another key holds the name;
// one sentence each, without the token's secret.

#include <stop_token>
#include <string>
#include <vector>

#include "base/status.h"
#include "trust/token.h"

namespace selvedge {

struct NodeIdentity {
  std::string site;
  std::string name;
  std::string role;               // "device" or "gateway"
  std::vector<std::string> mqtt;  // where its broker listens: "mqtts://HOST:PORT", "wss://…"
  std::string registry;           // "https://HOST:PORT"
  std::string url;                // where it joined: the control plane's, or its gateway's
  std::string ca_file;            // absolute paths, in the node's folder
  std::string certificate_file;
  std::string key_file;
};

// Of a folder that has joined. NotFound where it has not; FailedPrecondition where its files do not
// fit together, and which.
Result<NodeIdentity> LoadIdentity(const std::string& folder);

struct JoinOptions {
  std::string name;   // that the node wants to have; core/topic.h says which may be
  std::string proxy;  // as in HttpClientOptions
  // A gateway only: host names and addresses for its server certificate, and what devices of its
  // site are to be told.
  std::vector<std::string> hosts;
  std::vector<std::string> mqtt;
  std::string registry;
  std::stop_token stop;
};

// Joins and writes the folder. Trusts nobody before the CA's digest is the token's. May be called
// again with the same token after a failure: the key stays the same, so the answer will too.
Result<NodeIdentity> JoinFleet(const std::string& folder, const JoinToken& token,
                               const JoinOptions& options);

}  // namespace selvedge
