#pragma once

// A captured picture on its way through the pipeline.

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/clock.h"

namespace selvedge {

enum class PixelFormat {
  kI420,   // 3 planes: Y, U, V (U and V at half width and height, rounded up)
  kNv12,   // 2 planes: Y, interleaved UV
  kRgb24,  // 1 plane
  kBgr24,  // 1 plane
  kGray8,  // 1 plane
};

// How Y'CbCr becomes R'G'B'. Video from cameras and files of up to 576 lines is usually BT.601,
// larger BT.709.
enum class ColorMatrix { kBt601, kBt709 };

// Pixels in place, not owned. Valid as long as the Frame that lent it.
struct ImageView {
  PixelFormat format = PixelFormat::kI420;
  int width = 0;   // pixels
  int height = 0;  // pixels
  std::array<const std::uint8_t*, 3> planes = {};
  std::array<std::ptrdiff_t, 3> strides = {};  // bytes from row to row
  ColorMatrix matrix = ColorMatrix::kBt601;
  bool full_range = false;  // luma 0..255 rather than 16..235
};

// Move-only. Owns a reference to wherever the pixels live (a mapped GStreamer buffer, a test's
// vector) and gives it back on destruction; carrying a frame around allocates and copies nothing.
class Frame {
 public:
  using Release = void (*)(void* handle);

  Frame() = default;
  Frame(ImageView image, void* handle, Release release)
      : image(image), handle_(handle), release_(release) {}
  Frame(Frame&& other) noexcept { *this = std::move(other); }
  Frame& operator=(Frame&& other) noexcept {
    if (this != &other) {
      Reset();
      image = other.image;
      captured = other.captured;
      captured_wall = other.captured_wall;
      scene_time = other.scene_time;
      sequence = other.sequence;
      source = other.source;
      handle_ = std::exchange(other.handle_, nullptr);
      release_ = std::exchange(other.release_, nullptr);
    }
    return *this;
  }
  ~Frame() { Reset(); }

  // Gives the pixels back early; the times and numbers stay.
  void Reset() {
    if (release_ != nullptr) release_(handle_);
    handle_ = nullptr;
    release_ = nullptr;
    image.planes = {};
  }
  bool HasPixels() const { return image.planes[0] != nullptr; }

  ImageView image;
  Nanos captured = 0;  // Clock::Monotonic when the picture was taken (or was due, for paced files)
  Nanos captured_wall = 0;  // Clock::Wall of the same instant
  // When it happened in the scene, which is what tracks move and rules count in; ascending, of any
  // origin. A live source's `captured`; a file's own timeline, however fast the file is read.
  Nanos scene_time = 0;
  std::uint64_t sequence = 0;  // 0 for the first frame of the source; counts every captured frame
  std::uint32_t source = 0;    // index of the source in the pipeline

 private:
  void* handle_ = nullptr;
  Release release_ = nullptr;
};

}  // namespace selvedge
