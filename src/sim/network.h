#pragma once

// A hostile network: brokers that keep retained messages and Wills as MQTT brokers do, and clients
// whose links lose, double, delay and reorder what they carry, break, and are cut.
//
// A message of QoS 0 may be lost. Where one of QoS 1 is lost, the connection ends within
// kBreakAfter, as it does in TCP, and both ends begin anew; the broker may notice later than the
// client. A doubled message comes a second time up to LinkQuality::late afterwards, even on a later
// connection. One thread; the loop outlives everything here. Cannot fail.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "core/topic.h"
#include "sim/loop.h"

namespace selvedge {

struct LinkQuality {
  double loss = 0;
  double doubling = 0;
  double reordering = 0;  // of messages that are overtaken
  Nanos delay_min = 2 * kMillisecond;
  Nanos delay_max = 30 * kMillisecond;
  Nanos late = 0;  // what is overtaken or doubled comes up to so much later
};

struct SimMessage {
  Topic topic;
  std::string payload;
  int qos = 1;
  bool retain = false;
};

// Nodes that a client subscribed to; empty or "+": of its site all.
struct SimFilter {
  std::string site = "+";
  std::string node = "+";
  bool upward = false;  // birth, state, event, result; else ack, desired, command

  bool Matches(const Topic& topic) const;
};

class SimClient;

class SimBroker {
 public:
  // Messages from the nodes, for the process that the broker belongs to: at once, never lost.
  using Owner = std::function<void(const SimMessage&, bool retained)>;

  SimBroker(SimLoop* loop, std::string name) : loop_(*loop), name_(std::move(name)) {}
  SimBroker(const SimBroker&) = delete;
  SimBroker& operator=(const SimBroker&) = delete;

  // Nothing is kept from before.
  void Start(Owner owner);
  // Killed: no Will is sent, and whoever is connected finds out.
  void Stop();
  bool running() const { return running_; }
  const std::string& name() const { return name_; }

  void Publish(const SimMessage& message);

  // ---- for SimClient ----
  // Takes over from an older connection of the same client, whose Will is sent first.
  void Attach(SimClient* client, std::uint64_t connection, std::optional<SimMessage> will);
  // The connection is gone, if it is still the newest; `meant`: with a good-bye, so without a Will.
  void Detach(const std::string& client, std::uint64_t connection, bool meant);

 private:
  struct Session {
    SimClient* client;
    std::uint64_t connection;
    std::optional<SimMessage> will;
  };
  void SendRetained(SimClient* client, std::uint64_t connection);

  SimLoop& loop_;
  std::string name_;
  bool running_ = false;
  Owner owner_;
  std::map<std::string, Session, std::less<>> sessions_;
  std::map<std::string, SimMessage> retained_;  // by topic
};

class SimClient {
 public:
  struct Handlers {
    std::function<void()> connected;
    std::function<void()> lost;
    std::function<void(const SimMessage&)> message;
  };
  static constexpr Nanos kBreakAfter = 20 * kSecond;

  // Everything outlives the client. `quality` may change at any time.
  SimClient(SimLoop* loop, SimBroker* broker, const LinkQuality* quality, std::string name,
            SimFilter filter, Handlers handlers);
  SimClient(const SimClient&) = delete;
  SimClient& operator=(const SimClient&) = delete;

  // Keeps trying until it is stopped. The process that it is in begins and ends with it.
  void Start(std::optional<SimMessage> will);
  void Stop(bool good_bye);
  bool connected() const { return connected_; }
  const std::string& name() const { return name_; }
  const SimFilter& filter() const { return filter_; }

  // False where there is no connection: the message went nowhere.
  bool Publish(SimMessage message);
  // Nothing passes for so long.
  void Cut(Nanos duration);
  // The connection ends, unexpectedly.
  void Break();

  // ---- for SimBroker ----
  void Carry(std::uint64_t connection, const SimMessage& message);  // downwards
  void BrokerGone(std::uint64_t connection);

 private:
  enum class Way { kUp, kDown };
  void Try(Nanos delay);
  void Connect();
  void Transport(Way way, const SimMessage& message);
  void Deliver(Way way, std::uint64_t connection, const SimMessage& message, bool late);
  void Lose(bool tell_broker_at_once);

  SimLoop& loop_;
  SimBroker& broker_;
  const LinkQuality& quality_;
  std::string name_;
  SimFilter filter_;
  Handlers handlers_;
  std::optional<SimMessage> will_;
  bool started_ = false;
  bool connected_ = false;
  std::uint64_t connection_ = 0;
  std::uint64_t attempt_ = 0;
  Nanos cut_until_ = 0;
  Nanos last_arrival_[2] = {0, 0};
};

}  // namespace selvedge
