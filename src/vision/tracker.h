#pragma once

// Tracker: gives the detections of one camera identities that last from frame to frame.
//
// ByteTrack (Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box",
// ECCV 2022, algorithm 1): confident detections are matched to the predicted tracks first, then the
// unsure ones to confirmed tracks that found none. Overlap is that of boxes grown by a buffer (Yang
// et al., "Hard to Track Objects with Irregular Motions and Similar Appearances? Make It Easier by
// Buffering the Matching Space", WACV 2023), matching maximises it exactly (vision/hungarian.h) and
// never across classes; motion is a constant-velocity Kalman filter in real time (vision/kalman.h),
// so dropped frames and uneven rates only widen the prediction. Why so, and what it measures:
// docs/decisions/tracking.md.
//
// Owned by one pipeline, one per source. Not thread-safe: one thread calls Update, and tracks() and
// ended() are valid until the next Update. The same input gives the same output, whatever the order
// of a frame's detections. After construction nothing is allocated. Never fails: a detection with a
// box that is empty, not finite or beyond kMaxCoordinate, or a score that is no number, is left
// untracked.

#include <cstdint>
#include <memory>
#include <span>

#include "base/clock.h"
#include "base/status.h"
#include "core/detection.h"

namespace selvedge {

struct TrackerOptions {
  // Detections scored at least this are matched first and may start tracks ("D_high").
  float high_score = 0.5F;
  // Those from here to `high_score` only keep confirmed tracks alive ("D_low"); lower ones are
  // ignored.
  float low_score = 0.1F;
  // What a detection needs to start a track; below `high_score` it says nothing.
  float new_track_score = 0.5F;
  // Least overlap of prediction and detection in the first stage: IoU x score, as in ByteTrack,
  // where both boxes have first been grown by `match_buffer` of their width and height on each
  // side.
  float match_iou = 0.1F;
  float match_buffer = 0.3F;
  float low_match_iou = 0.5F;  // plain IoU, second stage
  // A confirmed track that finds no detection lives on for this long after its last one. Must
  // exceed the time between frames, or no track outlives a frame.
  Nanos max_lost = kSecond;
  // Detections in consecutive frames until a track is confirmed and gets its id.
  int min_hits = 2;
  // Confirmed and unconfirmed together. When full, no new track starts. Also the most detections of
  // one frame that are looked at (the best-scored ones). Time and memory grow with its square at
  // worst.
  int max_tracks = 512;

  // OK, or InvalidArgument naming the option that is out of range or contradicts another.
  Status Validate() const;
};

class Tracker {
 public:
  // Pixels; a box with a coordinate beyond it is no box.
  static constexpr float kMaxCoordinate = 1e6F;

  // Options that do not Validate() are a mistake of the caller: they are clamped to the nearest
  // valid ones.
  explicit Tracker(const TrackerOptions& options);
  ~Tracker();
  Tracker(Tracker&&) noexcept;
  Tracker& operator=(Tracker&&) noexcept;

  // The detections of one frame of the scene at `time` (nanoseconds of any origin, ascending). Sets
  // Detection::track_id, to -1 where a detection belongs to no confirmed track. A time slightly
  // before the last one counts as the last one; a step back by more than max_lost ends every track
  // and starts anew.
  void Update(Nanos time, std::span<Detection> detections);

  // Confirmed tracks, ordered by id. One that was not matched has matched = false and a predicted
  // box, and stays until max_lost.
  const Tracks& tracks() const;

  // Ids of the confirmed tracks that ended with this frame, ascending.
  std::span<const std::int64_t> ended() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace selvedge
