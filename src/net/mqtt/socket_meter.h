#pragma once

// SocketMeter: what the kernel knows about a TCP connection that a library made and does not show.
//
// It is found among this process's descriptors by its peer. Two connections of one process to the
// same peer that are made at the same moment may be taken for one another; their sum is right.
// Thread-safe. Failure: where the socket is not found, counts stay as they are.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace selvedge {

struct SocketCounts {
  std::uint64_t bytes_sent = 0;  // of TCP's stream, what was sent again included
  std::uint64_t bytes_received = 0;
  std::uint64_t segments_sent = 0;
  std::uint64_t segments_received = 0;
};

class SocketMeter {
 public:
  SocketMeter() = default;
  ~SocketMeter() { Release(); }
  SocketMeter(const SocketMeter&) = delete;
  SocketMeter& operator=(const SocketMeter&) = delete;

  // Finds a connection to one of `addresses` (numeric) at `port` that no other meter has.
  bool Attach(const std::vector<std::string>& addresses, int port);
  // Nothing once the connection is closed.
  std::optional<SocketCounts> Read() const;
  // Ends the connection in both directions, without a word of the protocol above.
  void Shutdown() const;
  void Release();

 private:
  int descriptor_ = -1;
  ino_t inode_ = 0;
};

}  // namespace selvedge
