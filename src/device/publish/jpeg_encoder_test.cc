#include "device/publish/jpeg_encoder.h"

#include <gtest/gtest.h>
#include <turbojpeg.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <vector>

namespace selvedge {
namespace {

struct Rgb {
  int r, g, b;
};

// A picture of one colour, as a camera of this matrix and range would give it (ITU-R BT.601 and
// BT.709).
class Picture {
 public:
  Picture(Rgb color, ColorMatrix matrix, bool full_range) {
    const double kr = matrix == ColorMatrix::kBt601 ? 0.299 : 0.2126;
    const double kb = matrix == ColorMatrix::kBt601 ? 0.114 : 0.0722;
    const double y = (kr * color.r + (1 - kr - kb) * color.g + kb * color.b) / 255;
    const double cb = (color.b / 255.0 - y) / (2 * (1 - kb));
    const double cr = (color.r / 255.0 - y) / (2 * (1 - kr));
    Fill(&pixels_[0], full_range ? y * 255 : 16 + y * 219, kSide * kSide);
    Fill(&pixels_[kSide * kSide], 128 + cb * (full_range ? 255 : 224), kSide * kSide / 4);
    Fill(&pixels_[kSide * kSide * 5 / 4], 128 + cr * (full_range ? 255 : 224), kSide * kSide / 4);
    view_.format = PixelFormat::kI420;
    view_.width = view_.height = kSide;
    view_.planes = {&pixels_[0], &pixels_[kSide * kSide], &pixels_[kSide * kSide * 5 / 4]};
    view_.strides = {kSide, kSide / 2, kSide / 2};
    view_.matrix = matrix;
    view_.full_range = full_range;
  }
  const ImageView& view() const { return view_; }

  static constexpr int kSide = 32;

 private:
  static void Fill(std::uint8_t* at, double value, int count) {
    std::fill(at, at + count, static_cast<std::uint8_t>(std::lround(value)));
  }
  std::array<std::uint8_t, kSide * kSide * 3 / 2> pixels_;
  ImageView view_;
};

Rgb Decode(std::string_view jpeg) {
  tjhandle handle = tjInitDecompress();
  std::vector<unsigned char> rgb(Picture::kSide * Picture::kSide * 3);
  EXPECT_EQ(tjDecompress2(handle, reinterpret_cast<const unsigned char*>(jpeg.data()), jpeg.size(),
                          rgb.data(), Picture::kSide, 0, Picture::kSide, TJPF_RGB, 0),
            0);
  tjDestroy(handle);
  const std::size_t middle = (Picture::kSide / 2 * Picture::kSide + Picture::kSide / 2) * 3;
  return {rgb[middle], rgb[middle + 1], rgb[middle + 2]};
}

// Whatever a camera calls its colours, a viewer sees the right ones.
TEST(JpegEncoderTest, KeepsColoursWhateverTheSourceCallsThem) {
  JpegEncoder encoder;
  for (const ColorMatrix matrix : {ColorMatrix::kBt601, ColorMatrix::kBt709}) {
    for (const bool full_range : {false, true}) {
      for (const Rgb color : {Rgb{0, 0, 0}, Rgb{255, 255, 255}, Rgb{200, 60, 40}, Rgb{40, 180, 70},
                              Rgb{50, 80, 210}, Rgb{120, 120, 120}}) {
        I420Image image;
        ASSERT_TRUE(image.CopyFrom(Picture(color, matrix, full_range).view(), 960).ok());
        const auto jpeg = encoder.Encode(95, &image);
        ASSERT_TRUE(jpeg) << jpeg.error().ToString();
        const Rgb seen = Decode(*jpeg);
        EXPECT_NEAR(seen.r, color.r, 5) << full_range << " " << static_cast<int>(matrix);
        EXPECT_NEAR(seen.g, color.g, 5) << full_range << " " << static_cast<int>(matrix);
        EXPECT_NEAR(seen.b, color.b, 5) << full_range << " " << static_cast<int>(matrix);
      }
    }
  }
}

TEST(JpegEncoderTest, RefusesAnEmptyPicture) {
  JpegEncoder encoder;
  I420Image empty;
  EXPECT_FALSE(encoder.Encode(80, &empty));
}

}  // namespace
}  // namespace selvedge
