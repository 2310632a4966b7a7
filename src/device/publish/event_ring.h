#pragma once

// EventRing: numbered records in memory taken beforehand; when it is full the newest overwrites the
// oldest.
//
// One writer, one reader, neither ever waits for the other. The reader copies a record and then
// looks whether the writer has meanwhile begun to overwrite it, in which case the copy is thrown
// away (the idea of a sequence lock: every word is an atomic, stored with release and loaded with
// acquire, so that who sees a word of the new record also sees that the old one is gone).
//
// Records are numbered from 1 without gaps. Nothing is allocated after construction, except in the
// reader's own string.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace selvedge {

class EventRing {
 public:
  // `bytes` is rounded up to a power of two; it holds records and 16 bytes for each of them.
  // `max_record` is the largest record that Begin gives room for; at most a quarter of the ring.
  EventRing(std::size_t bytes, std::size_t max_record);

  // ---- Writer ----
  // Room for one record of `size` bytes; empty where that is above max_record.
  std::span<std::uint8_t> Begin(std::size_t size);
  // Puts what Begin's room holds into the ring; its number.
  std::uint64_t Commit();

  // ---- Reader ----
  class Cursor {
    friend class EventRing;
    std::uint64_t position = 0;
  };
  // The next record at or behind the cursor whose number is above `after`, and the cursor behind
  // it. False where there is none yet.
  bool Next(std::uint64_t after, Cursor* cursor, std::uint64_t* number, std::string* record) const;

  // ---- Any thread ----
  std::uint64_t last() const { return last_.load(std::memory_order_seq_cst); }
  // The first number that is still there; last() + 1 where the ring is empty.
  std::uint64_t oldest() const { return oldest_.load(std::memory_order_acquire); }

 private:
  using Word = std::uint64_t;
  static constexpr std::size_t kHeaderWords = 2;  // number, size in bytes

  static std::size_t WordsFor(std::size_t bytes) {
    return kHeaderWords + (bytes + sizeof(Word) - 1) / sizeof(Word);
  }
  void Store(std::uint64_t at, Word word) {
    words_[at & mask_].store(word, std::memory_order_release);
  }
  Word Load(std::uint64_t at) const { return words_[at & mask_].load(std::memory_order_acquire); }

  const std::size_t capacity_;  // words, a power of two
  const std::uint64_t mask_;
  const std::size_t max_record_;
  const std::unique_ptr<std::atomic<Word>[]> words_;

  // Positions grow for ever; [tail, head) holds records.
  alignas(64) std::atomic<std::uint64_t> head_{0};
  std::atomic<std::uint64_t> last_{0};
  alignas(64) std::atomic<std::uint64_t> tail_{0};
  std::atomic<std::uint64_t> oldest_{1};

  // Writer.
  std::vector<Word> scratch_;
  std::size_t begun_ = 0;  // bytes
};

}  // namespace selvedge
