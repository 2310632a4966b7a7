#include "cloud/api/stream_hub.h"

#include <utility>

namespace selvedge {

void StreamHub::Add(std::shared_ptr<WebSocket> socket) {
  const std::lock_guard lock(mutex_);
  watchers_.push_back({std::move(socket)});
}

// True where nothing is owed any more.
bool StreamHub::PayGap(Watcher* watcher) {
  if (!watcher->gap) return true;
  watcher->gap = !watcher->socket->Send(std::string(R"({"type":"gap"})"));
  return !watcher->gap;
}

void StreamHub::Send(std::string text) {
  const auto message = std::make_shared<const std::string>(std::move(text));
  const std::lock_guard lock(mutex_);
  for (Watcher& watcher : watchers_) {
    if (!PayGap(&watcher) || !watcher.socket->Send(message)) watcher.gap = true;
  }
}

void StreamHub::Tidy() {
  const std::lock_guard lock(mutex_);
  std::erase_if(watchers_, [](const Watcher& watcher) { return !watcher.socket->open(); });
  for (Watcher& watcher : watchers_) PayGap(&watcher);
}

void StreamHub::CloseAll() {
  const std::lock_guard lock(mutex_);
  for (Watcher& watcher : watchers_) watcher.socket->Close(1001, "the control plane is stopping");
  watchers_.clear();
}

std::size_t StreamHub::size() const {
  const std::lock_guard lock(mutex_);
  return watchers_.size();
}

}  // namespace selvedge
