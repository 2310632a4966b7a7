#include "net/http_workers.h"

#include <pthread.h>

#include <exception>
#include <utility>

#include "base/log.h"

namespace selvedge {

HttpWorkers::HttpWorkers(int threads) {
  threads_.reserve(static_cast<std::size_t>(threads));
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

void HttpWorkers::Post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  changed_.notify_one();
}

void HttpWorkers::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void HttpWorkers::Run() {
  pthread_setname_np(pthread_self(), "http-worker");
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    try {
      task();
    } catch (const std::exception& e) {
      log::Error("http", "a handler failed", {{"error", e.what()}});
    }
    task = nullptr;  // what it holds goes without the lock
    lock.lock();
  }
}

}  // namespace selvedge
