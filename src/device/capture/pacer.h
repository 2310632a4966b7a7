#pragma once

// Pacer and RateLimit: when a frame is due, and which frames are kept. Pure arithmetic on
// timestamps, no waiting; not thread-safe, owned by the capture thread.

#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace selvedge {

// Turns a file's presentation times into times of the monotonic clock.
//
// The first frame is due at once; each later one as long after it as its timestamp says, divided by
// `speed`. A missing timestamp, one that goes back, or one that jumps ahead by more than kMaxGap
// continues one step after the last frame. A source that falls more than kMaxLag behind (the
// machine cannot keep up, or slept) is given a new schedule from now on instead of rushing: Slips()
// counts these.
class Pacer {
 public:
  static constexpr Nanos kMaxGap = 60 * kSecond;
  static constexpr Nanos kMaxLag = kSecond;
  static constexpr Nanos kDefaultStep = 40 * kMillisecond;  // where nothing tells the frame rate

  // `speed` > 0; 2 plays twice as fast.
  explicit Pacer(double speed) : speed_(speed > 0 ? speed : 1) {}

  // `pts`: presentation time, nanoseconds, of any origin. `step`: the nominal distance of frames, 0
  // unknown. Returns when the frame is due, on the clock that `now` is from.
  Nanos Due(std::optional<Nanos> pts, Nanos step, Nanos now);
  // The file begins again: its next frame follows one step after the last.
  void Rewind() { last_pts_.reset(); }

  std::uint64_t Slips() const { return slips_; }

 private:
  double speed_;
  std::optional<Nanos> last_pts_;
  std::optional<Nanos> last_due_;
  Nanos anchor_pts_ = 0;
  Nanos anchor_due_ = 0;
  Nanos last_step_ = 0;
  std::uint64_t slips_ = 0;
};

// Lets at most `fps` frames a second through, evenly spread. A tenth of a period of jitter is
// tolerated, so that a 30 fps camera limited to 10 gives every third frame and a 10 fps file
// limited to 10 gives all.
class RateLimit {
 public:
  // `fps` <= 0 keeps every frame.
  explicit RateLimit(double fps) : period_(fps > 0 ? static_cast<Nanos>(1e9 / fps) : 0) {}

  // `time`: of the frame, nanoseconds, not going back.
  bool Keep(Nanos time);

 private:
  Nanos period_;
  std::optional<Nanos> next_;
};

}  // namespace selvedge
