#pragma once

// AgentLink: a pipeline's link to its agent (docs/formats/run-link.md).
//
// Offer serialises an event into a ring of memory taken at Open; a thread of the link's own talks
// to the agent over a Unix socket, sends what is not committed, connects again when the agent went,
// and says once a second how the pipeline does. The decision thread never waits for the link: no
// lock, no allocation; one write to an eventfd where the link's thread sleeps.
//
// Failure: no agent, an agent that is slow or was killed: events wait in the ring. When it is full
// the oldest go. Every event ends as committed or lost: `offered = committed + waiting + lost`. An
// event above kMaxLinkEvent is refused and counted as lost.
//
// Threads: Offer by one thread at a time. counts, connected: any thread. Close and the destructor:
// the owner, after the last Offer.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/status.h"
#include "device/publish/event_sink.h"

namespace selvedge {

namespace v1 {
class PipelineMetrics;
}

// One packet, and the largest event that fits in one.
inline constexpr std::size_t kMaxLinkPacket = std::size_t{128} * 1024;
inline constexpr std::size_t kMaxLinkEvent = kMaxLinkPacket - 64;

struct AgentLinkOptions {
  std::string socket;       // path of the agent's socket
  std::string application;  // names for Hello
  std::string service;
  std::string privacy;  // "local-only", "crops", "frames": what Hello says
  std::size_t ring_bytes = std::size_t{4} * 1024 * 1024;
  Nanos retry_interval = 200 * kMillisecond;  // plus up to a quarter, by chance
  Nanos metrics_interval = kSecond;
  Nanos close_timeout = 2 * kSecond;
  // How the pipeline does. Called by the link's thread while the link is open; must not wait.
  std::function<void(v1::PipelineMetrics*)> metrics;
};

class AgentLink : public EventSink {
 public:
  // Starts the link; the agent need not be there yet. InvalidArgument for a path that no socket can
  // have.
  static Result<std::unique_ptr<AgentLink>> Open(AgentLinkOptions options);
  ~AgentLink() override;  // closes
  AgentLink(const AgentLink&) = delete;
  AgentLink& operator=(const AgentLink&) = delete;

  void Offer(const v1::Event& event) override;

  // Waits until everything is committed, for at most `close_timeout`; what is left is lost.
  // DataLoss, with their number, where events were lost in the link's whole life. Idempotent.
  Status Close();

  struct Counts {
    std::uint64_t offered = 0;
    std::uint64_t committed = 0;
    std::uint64_t waiting = 0;
    std::uint64_t lost = 0;
  };
  Counts counts() const;
  bool connected() const;

 private:
  struct State;
  explicit AgentLink(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace selvedge
