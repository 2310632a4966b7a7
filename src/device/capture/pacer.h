#pragma once

// MediaTimeline, Pacer and RateLimit: when a frame was filmed, when it is due, and which frames are
// kept. Pure arithmetic on timestamps, no waiting; not thread-safe, owned by the capture thread.

#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace selvedge {

// Turns a file's presentation times into one timeline that never goes back, from 0 for the first
// frame. A missing timestamp, one that goes back (the file was edited, or begins again), or one
// that jumps ahead by more than kMaxGap continues one step after the last frame.
class MediaTimeline {
 public:
  static constexpr Nanos kMaxGap = 60 * kSecond;
  static constexpr Nanos kDefaultStep = 40 * kMillisecond;  // where nothing tells the frame rate

  // `pts`: presentation time, nanoseconds, of any origin. `step`: the nominal distance of frames, 0
  // unknown.
  Nanos At(std::optional<Nanos> pts, Nanos step);
  // The file begins again: its next frame follows one step after the last.
  void Rewind() { last_pts_.reset(); }

 private:
  std::optional<Nanos> time_;
  std::optional<Nanos> last_pts_;
  Nanos last_step_ = 0;
};

// When a frame of a media timeline is due on the monotonic clock. The first frame is due at once;
// each later one as long after it as the timeline says, divided by `speed`. A source that falls
// more than kMaxLag behind (the machine cannot keep up, or slept) is given a new schedule from now
// on instead of rushing: Slips() counts these.
class Pacer {
 public:
  static constexpr Nanos kMaxLag = kSecond;

  // `speed` > 0; 2 plays twice as fast.
  explicit Pacer(double speed) : speed_(speed > 0 ? speed : 1) {}

  // `media`: the frame's place on the timeline, ascending. Returns when it is due, on the clock
  // that `now` is from.
  Nanos Due(Nanos media, Nanos now);

  std::uint64_t Slips() const { return slips_; }

 private:
  double speed_;
  bool started_ = false;
  Nanos anchor_media_ = 0;
  Nanos anchor_due_ = 0;
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
