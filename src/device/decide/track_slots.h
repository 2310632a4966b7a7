#pragma once

// TrackSlots: gives each live track a small number, under which the rules keep what they know of
// it.
//
// Bounded: at most kMaxSlots tracks. Numbers are reused after Release. Memory is taken at
// construction. Owned by a RuleSet; not thread-safe.

#include <cstdint>
#include <span>
#include <vector>

namespace selvedge {

class TrackSlots {
 public:
  static constexpr int kMaxSlots = 1024;

  TrackSlots();

  // The track's slot, -1 where it has none.
  int Find(std::int64_t id) const;
  // A free slot for a track that has none, -1 where all are taken. The lowest free number.
  int Acquire(std::int64_t id);
  void Release(int slot);
  void Clear();

  // Marks the slot as used in frame number `frame` (ascending).
  void Touch(int slot, std::uint64_t frame) { used_[static_cast<std::size_t>(slot)] = frame; }
  // The slot that was not used for the longest time and not in `frame` itself, -1 where there is
  // none; of equals the one with the lowest track id.
  int Oldest(std::uint64_t frame) const;

  std::int64_t IdOf(int slot) const { return ids_[static_cast<std::size_t>(slot)]; }
  int size() const { return static_cast<int>(entries_.size()); }

 private:
  struct Entry {
    std::int64_t id;
    int slot;
  };
  std::vector<Entry>
      entries_;  // ascending by id: ids only grow, so insertion is nearly always at the end
  std::vector<int> free_;  // a heap, lowest number first
  std::vector<std::int64_t> ids_;
  std::vector<std::uint64_t> used_;
};

}  // namespace selvedge
