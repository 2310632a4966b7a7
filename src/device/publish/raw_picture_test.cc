#include "device/publish/raw_picture.h"

#include <gtest/gtest.h>

#include <numeric>

namespace selvedge {
namespace {

struct Case {
  PixelFormat format;
  std::array<std::ptrdiff_t, 3> row_bytes;  // of a 5 x 3 picture
  std::array<int, 3> rows;
};
constexpr Case kCases[] = {{PixelFormat::kI420, {5, 3, 3}, {3, 2, 2}},
                           {PixelFormat::kNv12, {5, 6, 0}, {3, 2, 0}},
                           {PixelFormat::kRgb24, {15, 0, 0}, {3, 0, 0}},
                           {PixelFormat::kBgr24, {15, 0, 0}, {3, 0, 0}},
                           {PixelFormat::kGray8, {5, 0, 0}, {3, 0, 0}}};

TEST(RawPictureTest, CopiesEveryFormatWhateverItsStrides) {
  RawPicture picture;
  for (const Case& c : kCases) {
    for (const std::ptrdiff_t gap : {0, 7}) {
      std::vector<std::uint8_t> pixels(1000);
      std::iota(pixels.begin(), pixels.end(), std::uint8_t{1});
      ImageView image;
      image.format = c.format;
      image.width = 5;
      image.height = 3;
      image.matrix = ColorMatrix::kBt709;
      image.full_range = true;
      for (std::size_t i = 0; i < 3; ++i) {
        if (c.rows[i] == 0) continue;
        image.planes[i] = pixels.data() + 300 * i;
        image.strides[i] = c.row_bytes[i] + gap;
      }
      ASSERT_TRUE(picture.CopyFrom(image).ok());
      const ImageView& copy = picture.view();
      EXPECT_EQ(copy.format, c.format);
      EXPECT_EQ(copy.width, 5);
      EXPECT_EQ(copy.height, 3);
      EXPECT_EQ(copy.matrix, ColorMatrix::kBt709);
      EXPECT_TRUE(copy.full_range);
      for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(copy.planes[i] == nullptr, c.rows[i] == 0);
        for (int y = 0; y < c.rows[i]; ++y) {
          for (std::ptrdiff_t x = 0; x < c.row_bytes[i]; ++x) {
            ASSERT_EQ(copy.planes[i][y * copy.strides[i] + x],
                      image.planes[i][y * image.strides[i] + x]);
          }
        }
      }
    }
  }
}

TEST(RawPictureTest, RefusesWhatIsNoPicture) {
  RawPicture picture;
  std::vector<std::uint8_t> pixels(100);
  ImageView good;
  good.format = PixelFormat::kGray8;
  good.width = good.height = 4;
  good.planes[0] = pixels.data();
  good.strides[0] = 4;
  EXPECT_TRUE(picture.CopyFrom(good).ok());
  ImageView bad = good;
  bad.width = 0;
  EXPECT_FALSE(picture.CopyFrom(bad).ok());
  bad = good;
  bad.height = 1'000'000;
  EXPECT_FALSE(picture.CopyFrom(bad).ok());
  bad = good;
  bad.planes[0] = nullptr;
  EXPECT_FALSE(picture.CopyFrom(bad).ok());
  bad = good;
  bad.strides[0] = 3;
  EXPECT_FALSE(picture.CopyFrom(bad).ok());
  bad = good;
  bad.format = PixelFormat::kNv12;  // and no second plane
  EXPECT_FALSE(picture.CopyFrom(bad).ok());
}

}  // namespace
}  // namespace selvedge
