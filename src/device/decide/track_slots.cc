#include "device/decide/track_slots.h"

#include <algorithm>
#include <functional>

namespace selvedge {

TrackSlots::TrackSlots() : ids_(kMaxSlots), used_(kMaxSlots) {
  entries_.reserve(kMaxSlots);
  free_.reserve(kMaxSlots);
  Clear();
}

void TrackSlots::Clear() {
  entries_.clear();
  free_.clear();
  for (int i = 0; i < kMaxSlots; ++i) free_.push_back(i);  // ascending is a heap by std::greater
}

int TrackSlots::Find(std::int64_t id) const {
  const auto it = std::ranges::lower_bound(entries_, id, {}, &Entry::id);
  return it != entries_.end() && it->id == id ? it->slot : -1;
}

int TrackSlots::Acquire(std::int64_t id) {
  if (free_.empty()) return -1;
  std::ranges::pop_heap(free_, std::greater<>());
  const int slot = free_.back();
  free_.pop_back();
  entries_.insert(std::ranges::lower_bound(entries_, id, {}, &Entry::id), Entry{id, slot});
  ids_[static_cast<std::size_t>(slot)] = id;
  return slot;
}

void TrackSlots::Release(int slot) {
  entries_.erase(std::ranges::lower_bound(entries_, IdOf(slot), {}, &Entry::id));
  free_.push_back(slot);
  std::ranges::push_heap(free_, std::greater<>());
}

int TrackSlots::Oldest(std::uint64_t frame) const {
  int oldest = -1;
  for (const Entry& entry : entries_) {
    const std::uint64_t used = used_[static_cast<std::size_t>(entry.slot)];
    if (used == frame) continue;
    if (oldest < 0 || used < used_[static_cast<std::size_t>(oldest)]) oldest = entry.slot;
  }
  return oldest;
}

}  // namespace selvedge
