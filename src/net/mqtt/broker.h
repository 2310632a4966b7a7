#pragma once

// Broker: an Eclipse mosquitto of our own, as a child process: it has a configuration of ours,
// independent of any system service, and ends with us.
//
// It lets in only who shows a certificate of the fleet's CA; the certificate's CN is the user's
// name that the access list speaks of (net/mqtt/broker_acl.h). It keeps nothing on disk: what is
// retained is published again by those who own it.
//
// Owned by whoever wires a process together. A thread of its own starts the child, passes its log
// lines on, and starts it again (wait doubled up to a cap) when it ends unasked. If this process
// dies, however, the kernel ends the child too. Methods are for any thread.
//
// Failure: Start reports an executable that is missing, files that cannot be used, a port that is
// taken. After that, what goes wrong is logged and tried again.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace selvedge {

struct BrokerListener {
  std::string address = "127.0.0.1";  // numeric; "0.0.0.0" or "::" for every interface
  // 0: a free one is found at the first start, and kept in the folder for those that follow.
  int port = 0;
  bool websockets = false;  // MQTT over WebSockets over TLS
};

struct BrokerOptions {
  std::string folder;  // for configuration, access list and ports; made with mode 0700
  std::vector<BrokerListener> listeners = {BrokerListener{}};
  std::string certificate_file;  // the server's, PEM, absolute paths all three
  std::string key_file;
  std::string ca_file;     // clients must show a certificate of this one
  std::string acl;         // mosquitto's access list; empty: nobody may anything
  std::string executable;  // empty: /usr/sbin/mosquitto, or `mosquitto` in PATH
  int max_connections = 4096;
  std::size_t max_packet = (std::size_t{1} << 20) + 4096;  // bytes, topic and headers included
  // Of each client that does not keep up; more is dropped, and counted by the broker.
  int max_queued_messages = 10'000;
  std::size_t max_queued_bytes = std::size_t{16} << 20;
  std::string log_name = "broker";
};

class Broker {
 public:
  // Returns once every listener accepts connections, at most ten seconds later.
  static Result<std::unique_ptr<Broker>> Start(BrokerOptions options);
  ~Broker();  // Stop
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  // The ports in use, in the order of the listeners. They stay the same for the broker's life.
  std::vector<int> ports() const;
  int port() const { return ports().front(); }

  // Replaces the access list. It is in force for messages sent after the child has read it, soon.
  Status SetAcl(const std::string& acl);

  bool running() const;
  std::uint64_t restarts() const;  // unasked ends since the start
  int pid() const;                 // of the child; 0 while there is none

  // SIGTERM, and SIGKILL after two seconds.
  void Stop();

 private:
  explicit Broker(std::unique_ptr<class BrokerCore> core);
  std::unique_ptr<class BrokerCore> core_;
};

}  // namespace selvedge
