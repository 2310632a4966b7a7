#include "device/publish/event_ring.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace selvedge {

EventRing::EventRing(std::size_t bytes, std::size_t max_record)
    : capacity_(std::bit_ceil(std::max<std::size_t>(bytes, 1024)) / sizeof(Word)),
      mask_(capacity_ - 1),
      max_record_(std::min(max_record, capacity_ * sizeof(Word) / 4)),
      words_(new std::atomic<Word>[capacity_]()),
      scratch_((max_record_ + sizeof(Word) - 1) / sizeof(Word)) {}

std::span<std::uint8_t> EventRing::Begin(std::size_t size) {
  if (size > max_record_) return {};
  begun_ = size;
  return {reinterpret_cast<std::uint8_t*>(scratch_.data()), size};
}

std::uint64_t EventRing::Commit() {
  const std::size_t words = WordsFor(begun_);
  const std::uint64_t head = head_.load(std::memory_order_relaxed);
  std::uint64_t tail = tail_.load(std::memory_order_relaxed);
  std::uint64_t oldest = oldest_.load(std::memory_order_relaxed);
  while (head + words - tail > capacity_) {
    tail += WordsFor(Load(tail + 1));
    ++oldest;
  }
  // Before the first word is overwritten.
  oldest_.store(oldest, std::memory_order_release);
  tail_.store(tail, std::memory_order_release);
  const std::uint64_t number = last_.load(std::memory_order_relaxed) + 1;
  Store(head, number);
  Store(head + 1, begun_);
  for (std::size_t i = 0; i < words - kHeaderWords; ++i)
    Store(head + kHeaderWords + i, scratch_[i]);
  head_.store(head + words, std::memory_order_release);
  // Sequentially consistent, so that a reader that announced its sleep before it looked here is
  // seen by a writer that looks for sleepers afterwards.
  last_.store(number, std::memory_order_seq_cst);
  return number;
}

bool EventRing::Next(std::uint64_t after, Cursor* cursor, std::uint64_t* number,
                     std::string* record) const {
  for (;;) {
    const std::uint64_t tail = tail_.load(std::memory_order_acquire);
    const std::uint64_t head = head_.load(std::memory_order_acquire);
    const std::uint64_t at = std::max(cursor->position, tail);
    if (at >= head) return false;
    const std::uint64_t found = Load(at);
    const Word size = Load(at + 1);
    // A copy counts only if the writer had not begun to overwrite it when it was complete.
    if (tail_.load(std::memory_order_acquire) > at) continue;
    if (found > after) {
      record->resize(size);
      for (std::size_t i = 0; i * sizeof(Word) < size; ++i) {
        const Word word = Load(at + kHeaderWords + i);
        const std::size_t offset = i * sizeof(Word);
        std::memcpy(record->data() + offset, &word, std::min(sizeof(Word), size - offset));
      }
      if (tail_.load(std::memory_order_acquire) > at) continue;
    }
    cursor->position = at + WordsFor(size);
    if (found <= after) continue;
    *number = found;
    return true;
  }
}

}  // namespace selvedge
