#include "device/capture/pacer.h"

#include <cmath>

namespace selvedge {

Nanos MediaTimeline::At(std::optional<Nanos> pts, Nanos step) {
  if (!time_) {
    time_ = 0;
    last_pts_ = pts;
    last_step_ = step > 0 ? step : kDefaultStep;
    return 0;
  }
  const bool follows = pts && last_pts_ && *pts >= *last_pts_ && *pts - *last_pts_ <= kMaxGap;
  if (follows) {
    const Nanos since = *pts - *last_pts_;
    if (since > 0) last_step_ = since;
    *time_ += since;
  } else {
    if (step > 0) last_step_ = step;
    *time_ += last_step_;
  }
  last_pts_ = pts;
  return *time_;
}

Nanos Pacer::Due(Nanos media, Nanos now) {
  const auto since = static_cast<double>(media - anchor_media_);
  Nanos due = anchor_due_ + std::llround(since / speed_);
  const bool late = started_ && now - due > kMaxLag;
  if (late) ++slips_;
  if (late || !started_) {
    due = now;
    anchor_due_ = now;
    anchor_media_ = media;
  }
  started_ = true;
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
