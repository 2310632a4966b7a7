#pragma once

// EventIdGenerator: ULIDs (the ULID specification, github.com/ulid/spec): 48 bits of Unix
// milliseconds and 80 random bits as 26 characters of Crockford's base32, so that ids sort by time
// as text.
//
// Monotonic: within one millisecond, or when the wall clock steps back, the random part of the last
// id counts up instead, so every id of one generator is greater than the one before it. Clock and
// seed are injected: the same seed and times give the same ids, so seeds must differ between
// processes (RandomSeed does). Thread-compatible: one per thread, or under a lock. Cannot fail;
// allocates nothing.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string_view>

#include "base/clock.h"

namespace selvedge {

class EventId {
 public:
  static constexpr std::size_t kLength = 26;

  // 26 characters 0-9 and A-Z without I, L, O, U.
  std::string_view text() const { return {text_.data(), kLength}; }

 private:
  friend class EventIdGenerator;
  std::array<char, kLength> text_ = {};
};

class EventIdGenerator {
 public:
  // `clock` must outlive the generator.
  EventIdGenerator(const Clock& clock, std::uint64_t seed);

  EventId Next();

  // From the system's entropy source.
  static std::uint64_t RandomSeed();

 private:
  const Clock& clock_;
  std::mt19937_64 random_;
  std::uint64_t millis_ = 0;
  std::uint16_t random_high_ = 0;  // upper 16 of the 80 bits
  std::uint64_t random_low_ = 0;
  bool started_ = false;
};

// Milliseconds since the Unix epoch of an id; nullopt where `text` is not a ULID (capitals only).
std::optional<std::int64_t> EventIdMillis(std::string_view text);

}  // namespace selvedge
