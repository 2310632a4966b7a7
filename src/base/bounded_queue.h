#pragma once

// BoundedQueue: a fixed-capacity FIFO between two stages, with a named drop policy.
//
// Any number of producers and consumers. Memory is taken once, at construction; Push and Pop
// allocate nothing. Whoever pushes gets back the item that had to go (its own, or the oldest), so
// that every item is accounted for by somebody: the queue never destroys one silently. After Close,
// pushes are refused and pops drain what is left, then return nullopt.

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace selvedge {

enum class DropPolicy {
  kBlock,       // Push waits for room
  kDropOldest,  // the item that waited longest makes room
  kDropNewest,  // the pushed item is refused
};

// "block", "drop-oldest", "drop-newest".
std::string_view DropPolicyName(DropPolicy policy);
std::optional<DropPolicy> ParseDropPolicy(std::string_view name);

enum class PushOutcome { kAccepted, kReplacedOldest, kRefusedFull, kRefusedClosed };

template <typename T>
class BoundedQueue {
 public:
  struct PushResult {
    PushOutcome outcome;
    std::optional<T> evicted;  // the pushed item (refused) or the oldest (replaced)
  };

  // Capacity of at least 1.
  BoundedQueue(std::size_t capacity, DropPolicy policy)
      : slots_(capacity == 0 ? 1 : capacity), policy_(policy) {}

  PushResult Push(T item) {
    std::unique_lock lock(mutex_);
    if (policy_ == DropPolicy::kBlock) {
      not_full_.wait(lock, [&] { return closed_ || size_ < slots_.size(); });
    }
    if (closed_) return {PushOutcome::kRefusedClosed, std::move(item)};
    PushResult result{PushOutcome::kAccepted, std::nullopt};
    if (size_ == slots_.size()) {
      if (policy_ == DropPolicy::kDropNewest) return {PushOutcome::kRefusedFull, std::move(item)};
      result = {PushOutcome::kReplacedOldest, TakeFront()};
    }
    slots_[(head_ + size_) % slots_.size()].emplace(std::move(item));
    ++size_;
    lock.unlock();
    not_empty_.notify_one();
    return result;
  }

  // Waits for an item; nullopt once closed and drained.
  std::optional<T> Pop() {
    std::unique_lock lock(mutex_);
    not_empty_.wait(lock, [&] { return closed_ || size_ > 0; });
    return PopLocked(lock);
  }

  // nullopt at once where Pop would wait.
  std::optional<T> TryPop() {
    std::unique_lock lock(mutex_);
    return PopLocked(lock);
  }

  void Close() {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    not_empty_.notify_all();
    not_full_.notify_all();
  }

  std::size_t size() const {
    std::lock_guard lock(mutex_);
    return size_;
  }
  std::size_t capacity() const { return slots_.size(); }

 private:
  T TakeFront() {
    T item = std::move(*slots_[head_]);
    slots_[head_].reset();
    head_ = (head_ + 1) % slots_.size();
    --size_;
    return item;
  }

  std::optional<T> PopLocked(std::unique_lock<std::mutex>& lock) {
    if (size_ == 0) return std::nullopt;
    std::optional<T> item(TakeFront());
    lock.unlock();
    not_full_.notify_one();
    return item;
  }

  mutable std::mutex mutex_;
  std::condition_variable not_empty_;
  std::condition_variable not_full_;
  std::vector<std::optional<T>> slots_;
  std::size_t head_ = 0;
  std::size_t size_ = 0;
  bool closed_ = false;
  const DropPolicy policy_;
};

}  // namespace selvedge
