#include "core/event_id.h"

#include <algorithm>

namespace selvedge {

namespace {

// Crockford's base32: no I, L, O, U.
constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::uint64_t kMaxMillis = (std::uint64_t{1} << 48) - 1;
constexpr std::size_t kTimeLength = 10;

}  // namespace

EventIdGenerator::EventIdGenerator(const Clock& clock, std::uint64_t seed)
    : clock_(clock), random_(seed) {}

std::uint64_t EventIdGenerator::RandomSeed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

EventId EventIdGenerator::Next() {
  const auto now = static_cast<std::uint64_t>(std::max<Nanos>(0, clock_.Wall()) / kMillisecond);
  if (!started_ || now > millis_) {
    started_ = true;
    millis_ = std::min(now, kMaxMillis);
    random_high_ = static_cast<std::uint16_t>(random_());
    random_low_ = random_();
  } else if (++random_low_ == 0 && ++random_high_ == 0) {
    // All 2^80 of this millisecond are used up; the specification gives up here, we take the next
    // one.
    ++millis_;
  }

  // 130 bits for 26 characters of 5: the time fills 50 of them, its two highest bits are 0.
  EventId id;
  for (std::size_t i = 0; i < kTimeLength; ++i) {
    id.text_[i] = kAlphabet[millis_ >> (5 * (kTimeLength - 1 - i)) & 31];
  }
  std::uint64_t high = std::uint64_t{random_high_} << 24 | random_low_ >> 40;  // upper 40 bits
  std::uint64_t low = random_low_ & ((std::uint64_t{1} << 40) - 1);            // lower 40 bits
  for (std::size_t i = 0; i < 8; ++i) {
    id.text_[kTimeLength + 7 - i] = kAlphabet[high & 31];
    id.text_[kTimeLength + 15 - i] = kAlphabet[low & 31];
    high >>= 5;
    low >>= 5;
  }
  return id;
}

std::optional<std::int64_t> EventIdMillis(std::string_view text) {
  // The first character holds three bits only: the largest ULID is 7ZZZZZZZZZZZZZZZZZZZZZZZZZ.
  if (text.size() != EventId::kLength || text[0] > '7') return std::nullopt;
  std::int64_t millis = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t digit = kAlphabet.find(text[i]);
    if (digit == std::string_view::npos) return std::nullopt;
    if (i < kTimeLength) millis = millis << 5 | static_cast<std::int64_t>(digit);
  }
  return millis;
}

}  // namespace selvedge
