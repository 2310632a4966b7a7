#include "device/capture/delivery.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

namespace selvedge {
namespace {

// -1 where the thread is gone.
Nanos ReadCpuClock(clockid_t id) {
  timespec ts;
  if (clock_gettime(id, &ts) != 0) return -1;
  return ts.tv_sec * kSecond + ts.tv_nsec;
}

}  // namespace

void Delivery::Begin(Source::OnFrame on_frame, Source::OnEnd on_end) {
  on_frame_ = std::move(on_frame);
  on_end_ = std::move(on_end);
}

bool Delivery::Enter() {
  callback_thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  busy_.store(true);
  // Sequentially consistent on both sides: either we see stopping, or WaitIdle sees busy.
  if (!stopping_.load()) return true;
  Leave();
  return false;
}

void Delivery::Leave() {
  busy_.store(false);
  if (stopping_.load()) busy_.notify_all();
}

bool Delivery::Deliver(Frame frame) {
  const std::uint64_t sequence = frames_.load(std::memory_order_relaxed);
  frame.sequence = sequence;
  frame.captured_wall = clock_.Wall() - (clock_.Monotonic() - frame.captured);
  if (!Enter()) return false;
  frames_.store(sequence + 1, std::memory_order_relaxed);
  on_frame_(std::move(frame));
  Leave();
  return !stopping_.load(std::memory_order_relaxed);
}

void Delivery::End(Status status) {
  if (ended_.exchange(true)) return;
  if (!Enter()) return;
  if (on_end_) on_end_(std::move(status));
  Leave();
}

Nanos Delivery::Slice(Nanos wanted) const {
  return &clock_ == &Clock::System() ? wanted : std::min(wanted, 2 * kMillisecond);
}

bool Delivery::SleepUntil(Nanos due) {
  Nanos rest = due - clock_.Monotonic();
  if (rest <= 0) return !stopping_.load(std::memory_order_relaxed);
  std::unique_lock lock(sleep_mutex_);
  while (!stopping_.load() && rest > 0) {
    sleep_.wait_for(lock, std::chrono::nanoseconds(Slice(rest)));
    rest = due - clock_.Monotonic();
  }
  return !stopping_.load();
}

void Delivery::BeginStop() {
  {
    const std::lock_guard lock(sleep_mutex_);
    stopping_.store(true);
  }
  sleep_.notify_all();
}

void Delivery::WaitIdle() const {
  if (IsCallbackThread()) return;
  busy_.wait(true);
}

void Delivery::AccountThread() {
  const std::thread::id self = std::this_thread::get_id();
  if (cpu_thread_.load(std::memory_order_relaxed) == self) return;
  SettleThread();
  const std::lock_guard lock(cpu_mutex_);
  cpu_thread_.store(self);
  if (pthread_getcpuclockid(pthread_self(), &cpu_clock_) != 0) cpu_thread_.store({});
  // GStreamer's threads come from a pool: what they did before was not ours.
  cpu_begin_ = std::max<Nanos>(ReadCpuClock(cpu_clock_), 0);
  cpu_last_ = cpu_begin_;
}

void Delivery::SettleThread() {
  const std::lock_guard lock(cpu_mutex_);
  if (cpu_thread_.load() == std::thread::id()) return;
  const Nanos now = ReadCpuClock(cpu_clock_);
  cpu_settled_ += std::max(now, cpu_last_) - cpu_begin_;
  cpu_thread_.store({});
}

SourceStats Delivery::Stats() const {
  SourceStats stats;
  stats.frames = frames_.load(std::memory_order_relaxed);
  stats.corrupt = corrupt_.load(std::memory_order_relaxed);
  stats.reconnects = reconnects_.load(std::memory_order_relaxed);
  const std::lock_guard lock(cpu_mutex_);
  stats.decode_cpu = cpu_settled_;
  if (cpu_thread_.load() != std::thread::id()) {
    cpu_last_ = std::max(cpu_last_, ReadCpuClock(cpu_clock_));
    stats.decode_cpu += cpu_last_ - cpu_begin_;
  }
  return stats;
}

}  // namespace selvedge
