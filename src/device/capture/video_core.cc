// The streaming thread's half of VideoSource::Core: from a decoded buffer to OnFrame.

#include "device/capture/video_core.h"

#include <gst/video/video.h>

#include <algorithm>

#include "base/log.h"
#include "device/capture/gst_util.h"

namespace selvedge {
namespace {

// A live source's timestamp may lie so far back and still be believed.
constexpr Nanos kOldestCapture = 10 * kSecond;

}  // namespace

bool VideoSource::Core::UpdateFormat(GstSample* sample) {
  GstCaps* caps = gst_sample_get_caps(sample);
  if (caps == caps_.get() && format_) return true;
  caps_.reset(caps != nullptr ? gst_caps_ref(caps) : nullptr);
  format_ = ParseRawFormat(caps);
  if (!format_) return false;
  const int numerator = GST_VIDEO_INFO_FPS_N(&format_->info);
  const int denominator = GST_VIDEO_INFO_FPS_D(&format_->info);
  step_ = numerator > 0 ? kSecond * denominator / numerator : 0;
  nominal_step_.store(step_, std::memory_order_relaxed);
  return true;
}

std::optional<Nanos> VideoSource::Core::PresentationTime(GstSample* sample,
                                                         GstBuffer* buffer) const {
  if (!GST_BUFFER_PTS_IS_VALID(buffer)) return std::nullopt;
  const GstSegment* segment = gst_sample_get_segment(sample);
  const GstClockTime running =
      gst_segment_to_running_time(segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
  if (!GST_CLOCK_TIME_IS_VALID(running)) return std::nullopt;
  return static_cast<Nanos>(running);
}

std::optional<VideoSource::Core::Times> VideoSource::Core::FrameTimes(Session& session,
                                                                      std::optional<Nanos> pts,
                                                                      Nanos now) {
  if (live_) {
    Nanos captured = now;
    if (pts) {
      if (base_time_ < 0) base_time_ = session.BaseTime();
      captured = base_time_ + *pts;
      if (&delivery_.clock() != &Clock::System()) {
        captured += now - Clock::System().Monotonic();
      }
      if (captured > now || captured < now - kOldestCapture) captured = now;
    }
    return limit_.Keep(captured) ? std::optional(Times{captured, captured}) : std::nullopt;
  }
  const Nanos scene = timeline_.At(pts, step_);
  if (!options_.realtime) {
    return limit_.Keep(scene) ? std::optional(Times{now, scene}) : std::nullopt;
  }
  const std::uint64_t slips = pacer_.Slips();
  const Nanos due = pacer_.Due(scene, now);
  if (pacer_.Slips() != slips) {
    log::Warning("capture", "cannot keep the file's pace; going on from here",
                 {{"source", uri_.shown}, {"slips", pacer_.Slips()}});
  }
  return limit_.Keep(due) ? std::optional(Times{due, scene}) : std::nullopt;
}

bool VideoSource::Core::OnSample(Session& session, GstSample* sample) {
  if (sample == nullptr) {
    // The last pictures may have been lost.
    if (TakeDecoderErrors() > 0) delivery_.CountCorrupt();
    delivery_.SettleThread();
    return true;
  }
  delivery_.AccountThread();
  GstBuffer* buffer = gst_sample_get_buffer(sample);
  if (buffer == nullptr || !UpdateFormat(sample)) return true;
  const Nanos now = delivery_.clock().Monotonic();
  last_frame_.store(now, std::memory_order_relaxed);

  const bool damaged = GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_CORRUPTED);
  if (TakeDecoderErrors() > 0 || damaged) delivery_.CountCorrupt();
  if (damaged) return true;
  if (!opened_.load(std::memory_order_relaxed)) SignalOpened();

  const std::optional<Times> times = FrameTimes(session, PresentationTime(sample, buffer), now);
  if (!times) return !delivery_.stopping();
  Frame frame = pool_.Wrap(buffer, *format_);
  if (!frame.HasPixels()) {
    delivery_.CountCorrupt();
    return true;
  }
  frame.captured = times->captured;
  frame.scene_time = times->scene;
  if (!live_ && options_.realtime && !delivery_.SleepUntil(times->captured)) return false;
  return delivery_.Deliver(std::move(frame));
}

void VideoSource::Core::SignalOpened() {
  opened_.store(true);
  const std::lock_guard lock(mutex_);
  if (!started_) started_ = OkStatus();
  changed_.notify_all();
  // The supervisor does the rest: it logs, asks for the duration, and forgets earlier failures.
  if (session_ != nullptr) session_->Interrupt();
}

}  // namespace selvedge
