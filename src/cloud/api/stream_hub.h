#pragma once

// StreamHub: what happens in the fleet, told to everybody who watches (docs/formats/api.md,
// "Stream").
//
// Thread-safe; nobody waits for a watcher. What one cannot take is left out for it, and it is told
// so once it can take something again (`gap`).

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "net/websocket.h"

namespace selvedge {

class StreamHub {
 public:
  void Add(std::shared_ptr<WebSocket> socket);
  // One message to all.
  void Send(std::string text);
  // Says gap where one is owed, and forgets who is gone. Call it now and then.
  void Tidy();
  void CloseAll();
  // Who watches now: where nobody does, nothing needs to be made.
  std::size_t size() const;

 private:
  struct Watcher {
    std::shared_ptr<WebSocket> socket;
    bool gap = false;
  };
  static bool PayGap(Watcher* watcher);

  mutable std::mutex mutex_;
  std::vector<Watcher> watchers_;
};

}  // namespace selvedge
