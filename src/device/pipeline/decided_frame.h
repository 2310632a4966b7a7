#pragma once

// What the pipeline hands on once a frame is decided, and who takes it.

#include <cstdint>
#include <span>

#include "base/clock.h"
#include "core/detection.h"
#include "core/frame.h"
#include "device/decide/rules.h"

namespace selvedge {

// How long each stage took for one frame, nanoseconds of wall time.
struct StageNanos {
  Nanos queue = 0;  // captured to taken by a worker
  Nanos preprocess = 0;
  Nanos infer = 0;
  Nanos decode = 0;
  Nanos order = 0;  // waiting for earlier frames
  Nanos track = 0;
  Nanos decide = 0;
  Nanos total = 0;  // captured to decided
};

// Everything is lent for the duration of the call.
struct DecidedFrame {
  const Frame& frame;
  std::span<const Detection> detections;  // with track ids where tracked
  const Tracks& tracks;
  std::span<const RuleFiring> firings;
  const StageNanos& times;
  Nanos decided;       // Clock::Monotonic
  Nanos decided_wall;  // Clock::Wall
};

// Called for every decided frame, in the order of capture, by one thread at a time. Must not block:
// what goes to a disk or a network is handed to a thread of the publisher's own.
class Publisher {
 public:
  virtual ~Publisher() = default;
  virtual void Publish(const DecidedFrame& decided) = 0;
};

}  // namespace selvedge
