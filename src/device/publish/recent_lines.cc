#include "device/publish/recent_lines.h"

namespace selvedge {

void RecentLines::Add(std::string_view line) {
  if (line.size() > kMaxLine) return;
  for (std::size_t tries = 0; tries < kSlots; ++tries) {
    const std::uint64_t number = next_++;
    Slot& slot = slots_[number % kSlots];
    if (slot.busy.test_and_set(std::memory_order_acquire)) continue;  // a reader copies it
    slot.number = number;
    slot.line.assign(line);
    slot.busy.clear(std::memory_order_release);
    newest_.store(number, std::memory_order_release);
    return;
  }
}

std::vector<std::string> RecentLines::Read() const {
  std::vector<std::string> lines;
  lines.reserve(kKept);
  const std::uint64_t newest = newest_.load(std::memory_order_acquire);
  const std::uint64_t oldest = newest > kKept ? newest - kKept + 1 : 1;
  for (std::uint64_t number = oldest; number <= newest; ++number) {
    const Slot& slot = slots_[number % kSlots];
    if (slot.busy.test_and_set(std::memory_order_acquire)) continue;  // being written: next time
    if (slot.number == number) lines.push_back(slot.line);
    slot.busy.clear(std::memory_order_release);
  }
  return lines;
}

}  // namespace selvedge
