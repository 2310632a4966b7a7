#pragma once

// Looking a name up without waiting for it: on a thread of its own, as DNS may take half a minute.
//
// One look-up at a time per Resolver; one that is still under way when the Resolver is destroyed
// ends by itself and tells nobody. Methods are for one thread.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace selvedge {

class Resolver {
 public:
  // `on_done` is called, on another thread, when Take has something to give.
  explicit Resolver(std::function<void()> on_done);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Numeric addresses need no look-up and are there at once. Where an earlier look-up still runs,
  // its result is awaited in its place if it is for the same host, else this one fails.
  void Begin(const std::string& host);
  // The numeric addresses of the host, or why there are none; nothing while it is looked up.
  std::optional<Result<std::vector<std::string>>> Take();

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  std::optional<Result<std::vector<std::string>>> at_once_;
};

}  // namespace selvedge
