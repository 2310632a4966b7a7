#pragma once

// Agent: a device's part of the fleet (docs/formats/fleet.md), and its only process that talks to
// the network. It follows the desired document, brings what is wanted to disk, runs it, keeps
// events until the next hop has them, and reports what it observed.
//
// Owned by the process that is the agent. A thread of its own does everything; the MQTT client's
// and the fetcher's threads hand over to it. Failure: Start says what cannot work here; after that
// everything is tried again, and `trouble` in the state says what is wrong. What was accepted from
// a pipeline is on disk before the pipeline is told so.

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "device/agent/agent_options.h"
#include "net/join_client.h"

namespace selvedge {

struct AgentSetup {
  AgentOptions options;  // run_program is a path
  NodeIdentity identity;
  std::string version;
};

class Agent {
 public:
  static Result<std::unique_ptr<Agent>> Start(AgentSetup setup,
                                              const Clock& clock = Clock::System());
  ~Agent();  // Stop
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Ends the services (at most about ten seconds), says good-bye to the broker. Idempotent.
  void Stop();

 private:
  explicit Agent(std::unique_ptr<class AgentCore> core);
  std::unique_ptr<class AgentCore> core_;
};

}  // namespace selvedge
