#pragma once

// Backoff: how long to wait before the next attempt to reach something that may come back.
//
// Exponential, capped, with "equal jitter" (M. Brooker, "Exponential Backoff And Jitter", 2015):
// attempt k waits between half and the whole of min(max, first * 2^k), so that a hundred nodes or
// cameras behind one switch do not come back in the same millisecond. Pure: the random numbers are
// injected. Not thread-safe; owned by whoever tries.

#include <functional>

#include "base/clock.h"

namespace selvedge {

class Backoff {
 public:
  // `random` returns numbers in [0, 1). `first` and `max` are nanoseconds; values below 1 ms are
  // raised to 1 ms and `max` to at least `first`, so that no configuration makes a busy loop.
  Backoff(Nanos first, Nanos max, std::function<double()> random);

  // The wait before the next attempt, nanoseconds.
  Nanos Next();
  // After success: the next failure starts from `first` again.
  void Reset() { base_ = first_; }

 private:
  Nanos first_;
  Nanos max_;
  Nanos base_;
  std::function<double()> random_;
};

}  // namespace selvedge
