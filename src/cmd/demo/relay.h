#pragma once

// Relay: a TCP relay on loopback whose link can be cut, as a cable is pulled. It stands between a
// device of the demo and its site's broker.
//
// Owned by the demo. Cut and Restore may be called from any thread; one thread of its own moves
// bytes. While cut, what is open is closed and new connections are closed at once. At most
// kMaxLinks connections.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"

namespace selvedge::demo {

class Relay {
 public:
  static constexpr std::size_t kMaxLinks = 64;

  // From a free port of 127.0.0.1 to `target_port` of 127.0.0.1.
  static Result<std::unique_ptr<Relay>> Start(int target_port);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  int port() const { return port_; }
  void Cut();
  void Restore();
  std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }  // both ways

 private:
  struct Link;

  Relay() = default;
  void Run();
  void Accept();
  // False where the link is over.
  bool Move(Link* link, bool client_ready, bool server_ready);
  void Wake() const;

  int listener_ = -1;
  int wake_ = -1;  // eventfd
  int port_ = 0;
  int target_port_ = 0;
  std::atomic<bool> cut_{false};
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> bytes_{0};
  std::vector<Link> links_;
  std::thread thread_;
};

}  // namespace selvedge::demo
