#include "device/capture/pacer.h"

#include <cmath>

namespace selvedge {

Nanos Pacer::Due(std::optional<Nanos> pts, Nanos step, Nanos now) {
  const auto scaled = [this](Nanos t) { return std::llround(static_cast<double>(t) / speed_); };
  if (!last_due_) {
    anchor_due_ = now;
    anchor_pts_ = pts.value_or(0);
    last_due_ = now;
    last_pts_ = pts;
    last_step_ = step > 0 ? step : kDefaultStep;
    return now;
  }
  const bool follows = pts && last_pts_ && *pts >= *last_pts_ && *pts - *last_pts_ <= kMaxGap;
  Nanos due = 0;
  if (follows) {
    if (*pts > *last_pts_) last_step_ = *pts - *last_pts_;
    due = anchor_due_ + scaled(*pts - anchor_pts_);
  } else {
    if (step > 0) last_step_ = step;
    due = *last_due_ + scaled(last_step_);
    anchor_due_ = due;
    anchor_pts_ = pts.value_or(0);
  }
  if (now - due > kMaxLag) {
    ++slips_;
    due = now;
    anchor_due_ = now;
    anchor_pts_ = pts.value_or(0);
  }
  last_due_ = due;
  last_pts_ = pts;
  return due;
}

bool RateLimit::Keep(Nanos time) {
  if (period_ == 0) return true;
  if (!next_) {
    next_ = time + period_;
    return true;
  }
  if (time + period_ / 10 < *next_) return false;
  // Following the grid keeps the mean rate; after a pause the grid starts anew.
  next_ = time - *next_ > period_ ? time + period_ : *next_ + period_;
  return true;
}

}  // namespace selvedge
