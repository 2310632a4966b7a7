#pragma once

// HttpWorkers: a fixed number of threads on which an HttpServer's handlers may wait. Internal to
// net/.
//
// Post may be called from any thread, Stop from the owner's. The queue needs no limit of its own: a
// connection has at most one call under way and a notice of its end after that, and connections are
// capped. A task that throws is logged.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace selvedge {

class HttpWorkers {
 public:
  using Task = std::move_only_function<void()>;

  explicit HttpWorkers(int threads);
  ~HttpWorkers() { Stop(); }
  HttpWorkers(const HttpWorkers&) = delete;
  HttpWorkers& operator=(const HttpWorkers&) = delete;

  // Runs `task` on one of the threads, in the order of the calls to begin with.
  void Post(Task task);
  // Runs what is queued, then ends the threads. Idempotent. Nothing may be posted afterwards.
  void Stop();

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace selvedge
