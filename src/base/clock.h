#pragma once

// Clock: the only way our code reads time, so that tests and `sim` can inject it.
//
// Monotonic time orders and measures; wall time is for people and for events. Both are integers of
// nanoseconds. A Clock is thread-safe.

#include <atomic>
#include <cstdint>

namespace selvedge {

using Nanos = std::int64_t;  // nanoseconds

inline constexpr Nanos kMicrosecond = 1'000;
inline constexpr Nanos kMillisecond = 1'000'000;
inline constexpr Nanos kSecond = 1'000'000'000;

inline double ToMillis(Nanos t) {
  return static_cast<double>(t) / 1e6;
}
inline double ToSeconds(Nanos t) {
  return static_cast<double>(t) / 1e9;
}
inline Nanos FromSeconds(double s) {
  return static_cast<Nanos>(s * 1e9);
}

class Clock {
 public:
  virtual ~Clock() = default;
  // Nanoseconds since an arbitrary point; never goes back (CLOCK_MONOTONIC).
  virtual Nanos Monotonic() const = 0;
  // Nanoseconds since the Unix epoch, UTC; may jump.
  virtual Nanos Wall() const = 0;

  // The machine's clock; lives for ever.
  static const Clock& System();
};

// A clock that moves only when told to.
class FakeClock : public Clock {
 public:
  explicit FakeClock(Nanos monotonic = 0, Nanos wall = 1'700'000'000 * kSecond)
      : monotonic_(monotonic), wall_(wall) {}
  Nanos Monotonic() const override { return monotonic_.load(); }
  Nanos Wall() const override { return wall_.load(); }
  void Advance(Nanos by) {
    monotonic_ += by;
    wall_ += by;
  }
  void SetWall(Nanos wall) { wall_ = wall; }

 private:
  std::atomic<Nanos> monotonic_;
  std::atomic<Nanos> wall_;
};

}  // namespace selvedge
