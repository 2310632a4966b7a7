#pragma once

// SnapshotTaker: asks a pipeline on this machine for one picture, in the background.
//
// Owned by the agent's loop; Ask and Take are for its thread, which `wake` wakes. At most
// kMaxAtOnce at a time. Whether a picture may be taken at all is decided before.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "proto/fleet.pb.h"

namespace selvedge {

class SnapshotTaker {
 public:
  static constexpr std::size_t kMaxAtOnce = 2;
  // What fits into one message of the fleet.
  static constexpr std::size_t kMaxPicture = std::size_t{1000} * 1024;

  explicit SnapshotTaker(std::function<void()> wake) : wake_(std::move(wake)) {}
  ~SnapshotTaker();  // waits for those under way: at most some seconds
  SnapshotTaker(const SnapshotTaker&) = delete;
  SnapshotTaker& operator=(const SnapshotTaker&) = delete;

  // The answer to command `id` comes by Take. `port`: of the pipeline's HTTP server.
  void Ask(const std::string& id, int port);
  std::vector<v1::CommandResult> Take();

 private:
  struct Work {
    std::atomic<bool> done{false};
    std::thread thread;
  };

  static v1::CommandResult Fetch(const std::string& id, int port);
  void Put(v1::CommandResult result);

  const std::function<void()> wake_;
  std::mutex mutex_;
  std::vector<v1::CommandResult> results_;
  std::vector<std::unique_ptr<Work>> work_;  // the loop's
};

}  // namespace selvedge
