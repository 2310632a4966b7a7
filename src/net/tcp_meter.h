#pragma once

// TcpMeter: what this process's TCP connections to one port cost on the wire, in IP bytes: payload
// (with TLS, and what was sent again) and the headers of every segment, acknowledgements included.
//
// The kernel counts; the meter asks it (sock_diag(7), TCP_INFO) and adds up over connections that
// come and go. What a connection moved after the last Poll before it ended is not counted: poll
// every second. Headers: IPv4 20 or IPv6 40 bytes, TCP 20, its timestamps 12.
//
// For one thread. Failure: where the kernel does not answer, Poll says so and the totals stay.

#include <cstdint>
#include <map>

#include "base/status.h"

namespace selvedge {

class TcpMeter {
 public:
  struct Totals {
    std::uint64_t sent = 0;      // IP bytes
    std::uint64_t received = 0;  // IP bytes
    std::uint64_t connections = 0;
  };

  explicit TcpMeter(int remote_port) : remote_port_(remote_port) {}

  Status Poll();
  Totals totals() const { return totals_; }

 private:
  struct Seen {
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    bool alive = false;
  };

  Status Dump(int netlink, int family);
  void Take(const void* message, std::size_t size, int family);

  int remote_port_;
  std::map<std::uint32_t, bool> own_;  // inodes of this process's sockets
  std::map<std::uint32_t, Seen> seen_;
  Totals totals_;
};

}  // namespace selvedge
