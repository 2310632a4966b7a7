#pragma once

// The ledger: every frame that was captured is accounted for exactly once.
//
//   in = local + cloud + stored + dropped{reason} + in flight, and in flight is 0 at the end.
//
// Counters only grow; updating takes no lock. Thread-safe. A Snapshot taken while frames move may
// see one between two counters; once the pipeline stands still it balances.

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace selvedge {

enum class DropReason {
  kQueueFull,  // a newer frame took its place, or there was no room
  kStale,      // older than the pipeline's deadline when its turn came
  kCorrupt,    // pixels that could not be used
  kError,      // preprocessing or inference failed
  kShutdown,   // still in a queue when the pipeline stopped
};
inline constexpr int kDropReasonCount = 5;

// "queue_full", "stale", "corrupt", "error", "shutdown".
std::string_view DropReasonName(DropReason reason);

class Ledger {
 public:
  struct Snapshot {
    std::uint64_t in = 0;
    std::uint64_t local = 0;
    std::uint64_t cloud = 0;
    std::uint64_t stored = 0;
    std::array<std::uint64_t, kDropReasonCount> dropped = {};

    std::uint64_t TotalDropped() const;
    std::uint64_t Accounted() const { return local + cloud + stored + TotalDropped(); }
    bool Balances() const { return in == Accounted(); }
    // "in 795 = local 790 + cloud 0 + stored 0 + dropped 5 (queue_full 5)"
    std::string ToString() const;
  };

  // Outcomes release and Read acquires: who sees a frame's outcome also sees that it came in, on
  // processors that reorder stores too.
  void CountIn() { in_.fetch_add(1, std::memory_order_relaxed); }
  void CountLocal() { local_.fetch_add(1, std::memory_order_release); }
  void CountCloud() { cloud_.fetch_add(1, std::memory_order_release); }
  void CountStored() { stored_.fetch_add(1, std::memory_order_release); }
  void CountDropped(DropReason reason) {
    dropped_[static_cast<std::size_t>(reason)].fetch_add(1, std::memory_order_release);
  }
  Snapshot Read() const;

 private:
  std::atomic<std::uint64_t> in_{0};
  std::atomic<std::uint64_t> local_{0};
  std::atomic<std::uint64_t> cloud_{0};
  std::atomic<std::uint64_t> stored_{0};
  std::array<std::atomic<std::uint64_t>, kDropReasonCount> dropped_ = {};
};

}  // namespace selvedge
