#pragma once

// PahoConnection: one attempt to connect, and the connection that comes of it, through Eclipse
// Paho's asynchronous C client. Internal to this folder; mqtt_client.cc makes a new one for each
// attempt, so that nothing of an old connection can show in the next.
//
// Paho serves all its clients with two threads and one lock, which it holds while it calls back.
// So a PahoConnection is used from a thread of its owner's, which may wait for that lock, and the
// sink's functions, which come from Paho's threads, only put away what they are told.
//
// What is known about Paho 1.3.12 and lived with here: it looks names up under its lock (the owner
// resolves the name before); destroying the last client stops its threads, slowly and not without
// races (one client that is never used stays for ever); a client that is still connecting cannot be
// disconnected (it is destroyed); destroying says good-bye to the broker (SocketMeter::Shutdown
// goes before it where the Will is wanted).

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "net/mqtt/mqtt_client.h"
#include "net/mqtt/mqtt_uri.h"

namespace selvedge {

struct MqttFilter {
  std::string filter;
  int qos = 1;
};

class PahoConnection {
 public:
  // Called on Paho's threads with Paho's lock held.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void OnConnected() = 0;
    // The attempt failed, or the connection is gone.
    virtual void OnEnded(std::string reason) = 0;
    virtual void OnSubscribed(Status status) = 0;
    virtual void OnMessage(MqttMessage message) = 0;
    // A message of `bytes` (topic and payload) left the queue; `refused` where the broker said so.
    virtual void OnSent(std::size_t bytes, bool refused) = 0;
    virtual void OnDisconnected() = 0;
  };

  // Begins to connect. `sink` must outlive it.
  static Result<std::unique_ptr<PahoConnection>> Open(const MqttOptions& options,
                                                      const MqttUri& uri, Sink* sink);
  // After it no call of the sink is under way or will come.
  ~PahoConnection();
  PahoConnection(const PahoConnection&) = delete;
  PahoConnection& operator=(const PahoConnection&) = delete;

  // How many more messages it takes before some were sent.
  bool HasRoom() const;
  // OnSent follows for each that was taken, at the latest while it is destroyed.
  Status Send(const MqttMessage& message);
  Status Subscribe(const std::vector<MqttFilter>& filters);
  Status Unsubscribe(const std::string& filter);
  // OnDisconnected follows. `with_will`: the broker is asked to publish the Will.
  Status Disconnect(bool with_will);

  struct State;  // Paho's handle and what its callbacks need

 private:
  explicit PahoConnection(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace selvedge
