#pragma once

// FramePool: turns GStreamer buffers into Frames without copying and without allocating.
//
// A Frame holds a mapped buffer through one of the pool's slots; giving the frame back unmaps it.
// Slots are taken without locks by one capture thread and returned by any thread. The pool outlives
// its owner as long as frames are out: the last one frees it.

#include <gst/gst.h>
#include <gst/video/video.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "core/frame.h"

namespace selvedge {

// Raw video as our part of the system understands it.
struct RawFormat {
  GstVideoInfo info;
  PixelFormat format = PixelFormat::kI420;
  ColorMatrix matrix = ColorMatrix::kBt601;
  bool full_range = false;
  bool swap_chroma = false;  // YV12: V before U
};

// What ParseRawFormat accepts, as caps text.
inline constexpr char kRawCaps[] =
    "video/x-raw, format=(string){ I420, YV12, NV12, GRAY8, RGB, BGR }";

// Nothing where the caps are no raw video in system memory of a format above. Colour matrix and
// range come from the caps' colorimetry; where it says nothing, GStreamer's default for the size
// holds.
std::optional<RawFormat> ParseRawFormat(const GstCaps* caps);

class FramePool {
 public:
  FramePool();
  ~FramePool();
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;

  // Takes its own reference to `buffer`. A Frame without pixels where the buffer cannot be mapped.
  Frame Wrap(GstBuffer* buffer, const RawFormat& format);
  // Frames that are out.
  int InUse() const;

 private:
  struct Shared;
  struct Slot;
  static void Release(void* handle);

  Shared* shared_;
};

}  // namespace selvedge
