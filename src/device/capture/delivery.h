#pragma once

// Delivery: the last step of every source. It numbers frames, hands them to the callback, waits
// until they are due, and makes Stop safe.
//
// Deliver and SleepUntil are called by one capture thread at a time; Begin before any; the rest by
// any thread. No lock and no allocation per frame: Deliver and Stop exclude each other by two
// atomics (Dekker).

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "core/frame.h"
#include "device/capture/source.h"

namespace selvedge {

class Delivery {
 public:
  explicit Delivery(const Clock& clock) : clock_(clock) {}

  void Begin(Source::OnFrame on_frame, Source::OnEnd on_end);

  // Sets the number and the wall time and calls OnFrame. False, with the frame given back, once
  // stopping.
  bool Deliver(Frame frame);
  // Calls OnEnd, at most once, and not once stopping.
  void End(Status status);

  // Waits until the clock says `due`; false at once when stopping. Injected clocks are polled.
  bool SleepUntil(Nanos due);

  void BeginStop();
  bool stopping() const { return stopping_.load(); }
  // True while a callback runs.
  bool busy() const { return busy_.load(); }
  bool IsCallbackThread() const {
    return busy_.load() && callback_thread_.load() == std::this_thread::get_id();
  }
  // After BeginStop: returns when no callback runs. At once on the callback's own thread.
  void WaitIdle() const;

  // How long a thread may wait before it looks at the clock again, at most `wanted`: an injected
  // clock can jump at any time, the machine's cannot.
  Nanos Slice(Nanos wanted) const;

  // Notes the calling thread as the one whose CPU time Stats tells.
  void AccountThread();
  // The accounted thread ends or rests: keeps its time.
  void SettleThread();
  void CountCorrupt(std::uint64_t n = 1) { corrupt_.fetch_add(n, std::memory_order_relaxed); }
  void CountReconnect() { reconnects_.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t frames() const { return frames_.load(std::memory_order_relaxed); }
  SourceStats Stats() const;
  const Clock& clock() const { return clock_; }

 private:
  // Marks a callback as running; false where Stop came first.
  bool Enter();
  void Leave();

  const Clock& clock_;
  Source::OnFrame on_frame_;
  Source::OnEnd on_end_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> busy_{false};
  std::atomic<std::thread::id> callback_thread_;
  std::atomic<bool> ended_{false};
  std::atomic<std::uint64_t> frames_{0};
  std::atomic<std::uint64_t> corrupt_{0};
  std::atomic<std::uint64_t> reconnects_{0};
  std::mutex sleep_mutex_;
  std::condition_variable sleep_;

  mutable std::mutex cpu_mutex_;
  std::atomic<std::thread::id> cpu_thread_;
  clockid_t cpu_clock_ = 0;
  Nanos cpu_begin_ = 0;
  mutable Nanos cpu_last_ = 0;
  Nanos cpu_settled_ = 0;
};

}  // namespace selvedge
