#pragma once

// Hosts with an IP address each, in network namespaces of their own, and the bad network between
// them: delay, loss, cuts. For tests; Linux, root.
//
// A namespace has no name and ends with the process that made it, however that ends: nothing is
// left behind and nothing collides. What joins the hosts is ours, packet by packet over a TUN
// device in each, because not every kernel has netem.

#include <sys/types.h>

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <queue>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/child_process.h"
#include "base/clock.h"
#include "base/status.h"

namespace selvedge {

// Why this machine cannot do it; empty where it can.
std::string WhyNoHosts();

// One network namespace, with a loopback device and one towards the others. Thread-safe.
class Host {
 public:
  // `address`: "10.77.0.2", of a /24. Unavailable where the namespace or its device cannot be made.
  static Result<std::unique_ptr<Host>> Create(const std::string& address);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  const std::string& address() const { return address_; }
  // Whole IP packets are read from and written to it; does not block.
  int device() const { return device_; }
  // Does it on the host, and waits for it: sockets that it makes and processes that it starts are
  // the host's. It must not throw.
  void Do(const std::function<void()>& what);
  // A child that ends with the host at the latest.
  Result<ChildProcess> StartChild(const ChildOptions& options);

 private:
  explicit Host(std::string address) : address_(std::move(address)) {}
  Status SetUp();
  void Run();

  const std::string address_;
  int device_ = -1;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  bool stop_ = false;
  std::thread thread_;
};

struct Way {
  Nanos delay = 0;   // in each direction
  double loss = 0;   // of packets, 0 to 1
  bool cut = false;  // nothing passes
};

// Carries packets between hosts that have a way to each other, and no others. Thread-safe.
class Network {
 public:
  // The hosts outlive it. `seed` decides which packets are lost.
  Network(const std::vector<Host*>& hosts, std::uint64_t seed);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  void Set(const Host& a, const Host& b, Way way);
  // The way as it was, but cut or not.
  void Cut(const Host& a, const Host& b, bool cut);
  std::uint64_t carried() const;
  std::uint64_t lost() const;  // by chance; what is cut does not count

 private:
  struct Packet {
    Nanos due;
    std::uint64_t order;
    int to;  // descriptor
    std::vector<char> bytes;
    bool operator<(const Packet& other) const {
      return due != other.due ? due > other.due : order > other.order;
    }
  };
  using Pair = std::pair<std::uint32_t, std::uint32_t>;  // of addresses, the smaller first
  static Pair PairOf(std::uint32_t a, std::uint32_t b) { return std::minmax(a, b); }

  void Run();
  void Take(int from);
  void DeliverDue();

  std::map<std::uint32_t, int> devices_;  // by address
  mutable std::mutex mutex_;
  std::map<Pair, Way> ways_;
  std::mt19937_64 random_;
  std::priority_queue<Packet> on_the_way_;
  std::uint64_t order_ = 0;
  std::uint64_t carried_ = 0;
  std::uint64_t lost_ = 0;
  int wake_ = -1;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace selvedge
