#include "device/publish/raw_picture.h"

#include <array>
#include <cstddef>
#include <cstring>

namespace selvedge {
namespace {

struct PlaneSize {
  std::size_t row = 0;  // bytes
  std::size_t rows = 0;
};

std::array<PlaneSize, 3> PlaneSizes(const ImageView& image) {
  const auto width = static_cast<std::size_t>(image.width);
  const auto height = static_cast<std::size_t>(image.height);
  const PlaneSize luma{width, height};
  const PlaneSize chroma{(width + 1) / 2, (height + 1) / 2};
  switch (image.format) {
    case PixelFormat::kI420: return {luma, chroma, chroma};
    case PixelFormat::kNv12: return {luma, PlaneSize{chroma.row * 2, chroma.rows}, PlaneSize{}};
    case PixelFormat::kRgb24:
    case PixelFormat::kBgr24: return {PlaneSize{width * 3, height}, PlaneSize{}, PlaneSize{}};
    case PixelFormat::kGray8: return {luma, PlaneSize{}, PlaneSize{}};
  }
  return {};
}

}  // namespace

Status RawPicture::CopyFrom(const ImageView& image) {
  constexpr int kMaxSide = 16'384;  // pixels
  if (image.width <= 0 || image.height <= 0 || image.width > kMaxSide || image.height > kMaxSide) {
    return InvalidArgumentError("the picture is " + std::to_string(image.width) + "x" +
                                std::to_string(image.height) + " pixels");
  }
  const std::array<PlaneSize, 3> sizes = PlaneSizes(image);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    bytes += sizes[i].row * sizes[i].rows;
    if (sizes[i].rows > 0 && (image.planes[i] == nullptr ||
                              image.strides[i] < static_cast<std::ptrdiff_t>(sizes[i].row))) {
      return InvalidArgumentError("the picture has no pixels");
    }
  }
  if (pixels_.size() < bytes) pixels_.resize(bytes);
  view_ = image;
  view_.planes = {};
  view_.strides = {};
  std::uint8_t* to = pixels_.data();
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto [row, rows] = sizes[i];
    if (rows == 0) continue;
    const std::uint8_t* from = image.planes[i];
    view_.planes[i] = to;
    view_.strides[i] = static_cast<std::ptrdiff_t>(row);
    if (image.strides[i] == static_cast<std::ptrdiff_t>(row)) {
      std::memcpy(to, from, row * rows);
    } else {
      for (std::size_t y = 0; y < rows; ++y) {
        std::memcpy(to + y * row, from + static_cast<std::ptrdiff_t>(y) * image.strides[i], row);
      }
    }
    to += row * rows;
  }
  return OkStatus();
}

}  // namespace selvedge
