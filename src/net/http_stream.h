#pragma once

// HttpStream: one publisher, many HTTP clients, nobody waits for anybody.
//
// Publish replaces the latest chunk and wakes the server; each client sends the chunk it is at,
// then takes the latest: a slow client skips chunks, so a chunk must make sense without the ones
// before it. What is held is bounded: the latest chunk, and per client the one it is sending.
//
// Any thread. Publish takes one uncontended lock for a few instructions and copies no bytes.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace selvedge {

class HttpStream {
 public:
  using Chunk = std::shared_ptr<const std::string>;

  // `preamble` is sent to each client first.
  explicit HttpStream(std::string content_type, std::string preamble = {});

  void Publish(Chunk chunk);
  // Every client's response ends after the chunk it is sending. For good.
  void End();

  // Clients at this moment: one relaxed load.
  int subscribers() const { return subscribers_.load(std::memory_order_relaxed); }
  const std::string& content_type() const { return content_type_; }
  const std::string& preamble() const { return preamble_; }

  // For the server. `wake` is called by Publish and End, on their thread, and must not block;
  // nullptr after Detach.
  struct Latest {
    Chunk
        chunk;  // null where nothing was published since the first of the present subscribers came
    std::uint64_t version = 0;
    bool ended = false;
  };
  void Attach(const void* server, std::function<void()> wake);
  void Detach(const void* server);
  void AddSubscriber();
  void RemoveSubscriber();  // the last one to go takes the latest chunk with it: nobody gets an old
                            // picture first
  Latest Read() const;

 private:
  struct Waker {
    const void* server;
    std::function<void()> wake;
  };

  const std::string content_type_;
  const std::string preamble_;
  std::atomic<int> subscribers_{0};
  mutable std::mutex mutex_;
  Latest latest_;
  std::vector<Waker> wakers_;
};

}  // namespace selvedge
