#pragma once

// RecentLines: the last few event lines, for a page to show.
//
// One writer at a time (the decision thread), any readers. The writer never waits for a reader:
// every slot has a flag of its own, and a slot that a reader is copying is passed over. A slot
// keeps its memory: nothing is allocated once lines have had their usual length. Lines above
// kMaxLine are not kept.

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace selvedge {

class RecentLines {
 public:
  static constexpr std::size_t kKept = 50;
  static constexpr std::size_t kMaxLine = 16 * 1024;  // bytes

  void Add(std::string_view line);
  // Oldest first, at most kKept.
  std::vector<std::string> Read() const;

 private:
  // More slots than lines kept: the writer is that far ahead of a reader before they meet.
  static constexpr std::size_t kSlots = 64;
  struct Slot {
    mutable std::atomic_flag busy;
    std::uint64_t number = 0;  // from 1; 0 is empty
    std::string line;
  };

  std::array<Slot, kSlots> slots_;
  std::uint64_t next_ = 1;
  std::atomic<std::uint64_t> newest_{0};
};

}  // namespace selvedge
