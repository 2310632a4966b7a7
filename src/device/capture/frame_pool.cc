#include "device/capture/frame_pool.h"

#include <bit>
#include <cstring>

namespace selvedge {

struct FramePool::Slot {
  GstVideoFrame mapped;
  Shared* owner = nullptr;
  int index = -1;  // -1: allocated beyond the pool
};

// References: one for the FramePool, one for each frame that is out.
struct FramePool::Shared {
  static constexpr int kSlots = 64;
  std::atomic<std::uint64_t> free{~std::uint64_t{0}};
  std::atomic<int> references{1};
  std::array<Slot, kSlots> slots;

  Slot* Take() {
    references.fetch_add(1, std::memory_order_relaxed);
    std::uint64_t mask = free.load(std::memory_order_acquire);
    while (mask != 0) {
      const int index = std::countr_zero(mask);
      const std::uint64_t bit = std::uint64_t{1} << index;
      if (free.compare_exchange_weak(mask, mask & ~bit, std::memory_order_acquire)) {
        slots[static_cast<std::size_t>(index)].index = index;
        slots[static_cast<std::size_t>(index)].owner = this;
        return &slots[static_cast<std::size_t>(index)];
      }
    }
    // More frames are out than any queue of ours holds: slower, still right.
    auto* slot = new Slot;
    slot->owner = this;
    return slot;
  }

  void Give(Slot* slot) {
    if (slot->index < 0) {
      delete slot;
    } else {
      free.fetch_or(std::uint64_t{1} << slot->index, std::memory_order_release);
    }
    Drop();
  }

  void Drop() {
    if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
};

FramePool::FramePool() : shared_(new Shared) {}

FramePool::~FramePool() {
  shared_->Drop();
}

int FramePool::InUse() const {
  return shared_->references.load() - 1;
}

void FramePool::Release(void* handle) {
  auto* slot = static_cast<Slot*>(handle);
  gst_video_frame_unmap(&slot->mapped);
  slot->owner->Give(slot);
}

Frame FramePool::Wrap(GstBuffer* buffer, const RawFormat& format) {
  Slot* slot = shared_->Take();
  if (!gst_video_frame_map(&slot->mapped, &format.info, buffer, GST_MAP_READ)) {
    shared_->Give(slot);
    return {};
  }
  const GstVideoFrame& mapped = slot->mapped;
  ImageView view;
  view.format = format.format;
  view.width = GST_VIDEO_FRAME_WIDTH(&mapped);
  view.height = GST_VIDEO_FRAME_HEIGHT(&mapped);
  view.matrix = format.matrix;
  view.full_range = format.full_range;
  const guint planes = GST_VIDEO_FRAME_N_PLANES(&mapped);
  for (guint i = 0; i < planes && i < view.planes.size(); ++i) {
    const guint from = format.swap_chroma && i > 0 ? 3 - i : i;
    view.planes[i] = static_cast<const std::uint8_t*>(GST_VIDEO_FRAME_PLANE_DATA(&mapped, from));
    view.strides[i] = GST_VIDEO_FRAME_PLANE_STRIDE(&mapped, from);
  }
  return {view, slot, &FramePool::Release};
}

std::optional<RawFormat> ParseRawFormat(const GstCaps* caps) {
  RawFormat raw;
  if (caps == nullptr || !gst_video_info_from_caps(&raw.info, caps)) return std::nullopt;
  const GstCapsFeatures* features = gst_caps_get_features(caps, 0);
  if (features != nullptr && !gst_caps_features_is_any(features) &&
      !gst_caps_features_is_equal(features, GST_CAPS_FEATURES_MEMORY_SYSTEM_MEMORY)) {
    return std::nullopt;
  }
  switch (GST_VIDEO_INFO_FORMAT(&raw.info)) {
    case GST_VIDEO_FORMAT_I420: raw.format = PixelFormat::kI420; break;
    case GST_VIDEO_FORMAT_YV12:
      // Its planes lie in the order Y, V, U.
      raw.format = PixelFormat::kI420;
      raw.swap_chroma = true;
      break;
    case GST_VIDEO_FORMAT_NV12: raw.format = PixelFormat::kNv12; break;
    case GST_VIDEO_FORMAT_GRAY8: raw.format = PixelFormat::kGray8; break;
    case GST_VIDEO_FORMAT_RGB: raw.format = PixelFormat::kRgb24; break;
    case GST_VIDEO_FORMAT_BGR: raw.format = PixelFormat::kBgr24; break;
    default: return std::nullopt;
  }
  const GstVideoColorimetry& color = GST_VIDEO_INFO_COLORIMETRY(&raw.info);
  switch (color.matrix) {
    case GST_VIDEO_COLOR_MATRIX_BT709:
    case GST_VIDEO_COLOR_MATRIX_SMPTE240M:
    case GST_VIDEO_COLOR_MATRIX_BT2020:
      raw.matrix = ColorMatrix::kBt709;  // the nearest that we have; exact for BT.709
      break;
    case GST_VIDEO_COLOR_MATRIX_BT601:
    case GST_VIDEO_COLOR_MATRIX_FCC: raw.matrix = ColorMatrix::kBt601; break;
    default:
      raw.matrix =
          GST_VIDEO_INFO_HEIGHT(&raw.info) > 576 ? ColorMatrix::kBt709 : ColorMatrix::kBt601;
  }
  raw.full_range = color.range == GST_VIDEO_COLOR_RANGE_0_255;
  return raw;
}

}  // namespace selvedge
