#include "net/http_stream.h"

#include <algorithm>
#include <utility>

namespace selvedge {

HttpStream::HttpStream(std::string content_type, std::string preamble)
    : content_type_(std::move(content_type)), preamble_(std::move(preamble)) {}

void HttpStream::Publish(Chunk chunk) {
  Chunk previous;  // freed outside the lock
  std::lock_guard lock(mutex_);
  // Kept only for those who are there: who comes later must not get a picture from before.
  if (latest_.ended || subscribers_.load(std::memory_order_relaxed) == 0) return;
  previous = std::exchange(latest_.chunk, std::move(chunk));
  ++latest_.version;
  for (const Waker& waker : wakers_) waker.wake();
}

void HttpStream::End() {
  std::lock_guard lock(mutex_);
  latest_.ended = true;
  latest_.chunk.reset();
  for (const Waker& waker : wakers_) waker.wake();
}

void HttpStream::Attach(const void* server, std::function<void()> wake) {
  std::lock_guard lock(mutex_);
  wakers_.push_back({server, std::move(wake)});
}

void HttpStream::Detach(const void* server) {
  std::lock_guard lock(mutex_);
  std::erase_if(wakers_, [&](const Waker& waker) { return waker.server == server; });
}

void HttpStream::AddSubscriber() {
  std::lock_guard lock(mutex_);
  subscribers_.fetch_add(1, std::memory_order_relaxed);
}

void HttpStream::RemoveSubscriber() {
  std::lock_guard lock(mutex_);
  if (subscribers_.fetch_sub(1, std::memory_order_relaxed) == 1) latest_.chunk.reset();
}

HttpStream::Latest HttpStream::Read() const {
  std::lock_guard lock(mutex_);
  return latest_;
}

}  // namespace selvedge
