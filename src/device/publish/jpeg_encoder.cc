#include "device/publish/jpeg_encoder.h"

#include <turbojpeg.h>

#include <algorithm>
#include <cmath>

namespace selvedge {
namespace {

// Luma weights of red and blue (ITU-R BT.601 section 2.5.1 and BT.709 section 3.2).
struct Weights {
  double red;
  double blue;
};
constexpr Weights kBt601{0.299, 0.114};
constexpr Weights kBt709{0.2126, 0.0722};

// Y' and (Cb, Cr) of one matrix from those of another, all at full range with chroma centred on 0.
// From R = Y + 2(1-Kr)Cr, B = Y + 2(1-Kb)Cb and Y = Kr R + Kg G + Kb B on both sides: Y' = Y + y_cb
// Cb + y_cr Cr, and so on.
struct MatrixChange {
  double y_cb, y_cr, cb_cb, cb_cr, cr_cb, cr_cr;
};
constexpr MatrixChange ChangeOf(Weights from, Weights to) {
  const double from_green = 1 - from.red - from.blue;
  const double to_green = 1 - to.red - to.blue;
  const double red_cr = 2 * (1 - from.red);    // R - Y = red_cr Cr
  const double blue_cb = 2 * (1 - from.blue);  // B - Y = blue_cb Cb
  const double green_cr = -from.red * red_cr / from_green;
  const double green_cb = -from.blue * blue_cb / from_green;
  const double y_cb = to_green * green_cb + to.blue * blue_cb;
  const double y_cr = to.red * red_cr + to_green * green_cr;
  return {y_cb,
          y_cr,
          (blue_cb - y_cb) / (2 * (1 - to.blue)),
          -y_cr / (2 * (1 - to.blue)),
          -y_cb / (2 * (1 - to.red)),
          (red_cr - y_cr) / (2 * (1 - to.red))};
}

std::uint8_t ClampToByte(int value) {
  return static_cast<std::uint8_t>(std::clamp(value, 0, 255));
}

// Two rows of luma and one of each chroma.
void ConvertRows(const MatrixChange& change, int y, I420Image* picture) {
  constexpr int kOne = 1 << 14;
  const auto fixed = [](double v) { return static_cast<int>(std::lround(v * kOne)); };
  const int y_cb = fixed(change.y_cb), y_cr = fixed(change.y_cr), cb_cb = fixed(change.cb_cb),
            cb_cr = fixed(change.cb_cr), cr_cb = fixed(change.cr_cb), cr_cr = fixed(change.cr_cr);
  std::uint8_t* top = picture->plane(0) + 2 * y * picture->stride(0);
  std::uint8_t* bottom = top + picture->stride(0);
  std::uint8_t* blue = picture->plane(1) + y * picture->stride(1);
  std::uint8_t* red = picture->plane(2) + y * picture->stride(2);
  const auto rounded = [](int v) { return (v + kOne / 2) >> 14; };
  for (int x = 0; x < picture->width() / 2; ++x) {
    const int cb = blue[x] - 128;
    const int cr = red[x] - 128;
    const int add = rounded(y_cb * cb + y_cr * cr);
    blue[x] = ClampToByte(rounded(cb_cb * cb + cb_cr * cr) + 128);
    red[x] = ClampToByte(rounded(cr_cb * cb + cr_cr * cr) + 128);
    top[2 * x] = ClampToByte(top[2 * x] + add);
    top[2 * x + 1] = ClampToByte(top[2 * x + 1] + add);
    bottom[2 * x] = ClampToByte(bottom[2 * x] + add);
    bottom[2 * x + 1] = ClampToByte(bottom[2 * x + 1] + add);
  }
}

}  // namespace

void ConvertToJfif(I420Image* picture) {
  if (picture->View().matrix == ColorMatrix::kBt601) return;
  static constexpr MatrixChange kChange = ChangeOf(kBt709, kBt601);
  for (int y = 0; y < picture->height() / 2; ++y) ConvertRows(kChange, y, picture);
}

JpegEncoder::JpegEncoder() : handle_(tjInitCompress()) {}

JpegEncoder::~JpegEncoder() {
  if (handle_ != nullptr) tjDestroy(handle_);
}

Result<std::string_view> JpegEncoder::Encode(int quality, I420Image* picture) {
  if (handle_ == nullptr) return Err(InternalError("jpeg: the encoder could not be made"));
  ConvertToJfif(picture);
  const unsigned long most = tjBufSize(picture->width(), picture->height(), TJSAMP_420);
  if (most == static_cast<unsigned long>(-1)) {
    return Err(InternalError("jpeg: the picture has no size"));
  }
  buffer_.resize(std::max<std::size_t>(buffer_.size(), most));
  const unsigned char* planes[3] = {picture->plane(0), picture->plane(1), picture->plane(2)};
  const int strides[3] = {picture->stride(0), picture->stride(1), picture->stride(2)};
  unsigned char* out = buffer_.data();
  unsigned long bytes = buffer_.size();
  if (tjCompressFromYUVPlanes(handle_, planes, picture->width(), strides, picture->height(),
                              TJSAMP_420, &out, &bytes, quality, TJFLAG_NOREALLOC) != 0) {
    return Err(InternalError(std::string("jpeg: ") + tjGetErrorStr2(handle_)));
  }
  return std::string_view(reinterpret_cast<const char*>(out), bytes);
}

}  // namespace selvedge
