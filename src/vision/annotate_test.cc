#include "vision/annotate.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace selvedge {
namespace {

const std::vector<std::string> kLabels = {"person"};

struct Picture {
  Picture(PixelFormat format, int width, int height, std::uint8_t fill)
      : pixels(3UL * (width + 1) * (height + 1), fill) {
    const int cw = (width + 1) / 2;
    view.format = format;
    view.width = width;
    view.height = height;
    view.planes = {pixels.data(), pixels.data() + width * height,
                   pixels.data() + width * height + cw * ((height + 1) / 2)};
    view.strides = {width, cw, cw};
    if (format == PixelFormat::kNv12) view.strides[1] = 2 * cw;
    if (format == PixelFormat::kRgb24 || format == PixelFormat::kBgr24) view.strides[0] = 3 * width;
  }
  std::vector<std::uint8_t> pixels;
  ImageView view;
};

TEST(I420ImageTest, ScalesDownToEvenSides) {
  const Picture picture(PixelFormat::kI420, 768, 576, 100);
  I420Image image;
  EXPECT_EQ(image.View().planes[0], nullptr);
  ASSERT_TRUE(image.CopyFrom(picture.view, 641).ok());
  EXPECT_EQ(image.width(), 642);
  EXPECT_EQ(image.height(), 482);
  EXPECT_NEAR(image.scale_x(), 642.0 / 768, 1e-6);
  ASSERT_TRUE(image.CopyFrom(picture.view, 4000).ok());
  EXPECT_EQ(image.width(), 768);
  EXPECT_EQ(image.height(), 576);
  const Picture odd(PixelFormat::kNv12, 33, 17, 100);
  ASSERT_TRUE(image.CopyFrom(odd.view, 4000).ok());
  EXPECT_EQ(image.width(), 32);
  EXPECT_EQ(image.height(), 16);
}

TEST(I420ImageTest, IsFullRangeWhateverTheSource) {
  I420Image image;
  Picture limited(PixelFormat::kI420, 64, 48, 128);
  std::fill_n(limited.pixels.begin(), 64 * 48, std::uint8_t{235});
  ASSERT_TRUE(image.CopyFrom(limited.view, 64).ok());
  EXPECT_EQ(image.plane(0)[0], 255);
  EXPECT_EQ(image.plane(1)[0], 128);
  std::fill_n(limited.pixels.begin(), 64 * 48, std::uint8_t{16});
  ASSERT_TRUE(image.CopyFrom(limited.view, 32).ok());
  EXPECT_EQ(image.plane(0)[0], 0);
  limited.view.full_range = true;
  ASSERT_TRUE(image.CopyFrom(limited.view, 32).ok());
  EXPECT_EQ(image.plane(0)[0], 16);
  EXPECT_TRUE(image.View().full_range);
}

TEST(I420ImageTest, ConvertsColours) {
  I420Image image;
  Picture red(PixelFormat::kRgb24, 8, 8, 0);
  for (int i = 0; i < 64; ++i) red.pixels[3 * i] = 255;
  ASSERT_TRUE(image.CopyFrom(red.view, 8).ok());
  EXPECT_NEAR(image.plane(0)[0], 76, 1);
  EXPECT_NEAR(image.plane(1)[0], 85, 1);
  EXPECT_NEAR(image.plane(2)[0], 255, 1);
  red.view.format = PixelFormat::kBgr24;  // now blue
  ASSERT_TRUE(image.CopyFrom(red.view, 8).ok());
  EXPECT_NEAR(image.plane(0)[0], 29, 1);
  EXPECT_NEAR(image.plane(1)[0], 255, 1);
  const Picture gray(PixelFormat::kGray8, 8, 8, 77);
  ASSERT_TRUE(image.CopyFrom(gray.view, 8).ok());
  EXPECT_EQ(image.plane(0)[0], 77);
  EXPECT_EQ(image.plane(2)[0], 128);
}

TEST(I420ImageTest, RefusesWhatIsNoPicture) {
  I420Image image;
  EXPECT_EQ(image.CopyFrom(ImageView{}, 100).code(), StatusCode::kInvalidArgument);
}

TEST(AnnotateTest, DrawsTheBoxWhereItIs) {
  const Picture picture(PixelFormat::kI420, 640, 480, 128);
  I420Image image;
  ASSERT_TRUE(image.CopyFrom(picture.view, 320).ok());
  const std::vector<std::uint8_t> before(image.plane(0), image.plane(0) + 320 * 240);
  const Detections detections = {{{200, 100, 400, 300}, 0.9F, 0, 4}};
  Annotate(detections, kLabels, {}, &image);
  const auto luma = [&](int x, int y) { return image.plane(0)[y * 320 + x]; };
  const auto was = [&](int x, int y) { return before[y * 320 + x]; };
  for (const auto& [x, y] : {std::pair{100, 100}, std::pair{200, 100}, std::pair{150, 150}}) {
    EXPECT_NE(luma(x, y), was(x, y)) << x << "," << y << " is on the outline";
  }
  EXPECT_EQ(luma(150, 100), was(150, 100)) << "inside";
  EXPECT_EQ(luma(260, 200), was(260, 200)) << "outside";
  EXPECT_NE(image.plane(1)[50 * 160 + 50], 128) << "in colour";
  EXPECT_NE(luma(104, 44), was(104, 44)) << "the label stands above";
}

TEST(AnnotateTest, TracksKeepTheirColourAndPredictionsAreThin) {
  const Picture picture(PixelFormat::kI420, 640, 480, 128);
  const auto drawn = [&](std::int64_t id, bool matched) {
    I420Image image;
    EXPECT_TRUE(image.CopyFrom(picture.view, 1920).ok());
    Track track;
    track.id = id;
    track.box = {100, 100, 300, 300};
    track.matched = matched;
    Annotate(std::span(&track, 1), kLabels, {}, &image);
    return std::vector<std::uint8_t>(image.plane(0), image.plane(0) + 640 * 480 * 3 / 2);
  };
  EXPECT_EQ(drawn(3, true), drawn(3, true));
  EXPECT_NE(drawn(3, true)[640 * 480 + 320 * 60 + 50], drawn(4, true)[640 * 480 + 320 * 60 + 50]);
  int thick = 0;
  int thin = 0;
  const auto seen = drawn(3, true);
  const auto predicted = drawn(3, false);
  for (int x = 90; x < 110; ++x) {
    thick += seen[640 * 200 + x] != seen[640 * 200 + 80] ? 1 : 0;
    thin += predicted[640 * 200 + x] != predicted[640 * 200 + 80] ? 1 : 0;
  }
  EXPECT_EQ(thin, 1);
  EXPECT_GT(thick, 1);
}

TEST(AnnotateTest, ZonesAreTintedAndAlarmsStandOut) {
  const Picture picture(PixelFormat::kI420, 320, 240, 128);
  const auto centre = [&](bool active) {
    I420Image image;
    EXPECT_TRUE(image.CopyFrom(picture.view, 320).ok());
    Overlay zone;
    zone.name = "crossing";
    zone.points = {{40, 40}, {280, 40}, {280, 200}, {40, 200}};
    zone.active = active;
    Annotate(std::span<const Detection>(), kLabels, std::span(&zone, 1), &image);
    return image.plane(2)[60 * 160 + 80];
  };
  EXPECT_LT(centre(false), 128);
  EXPECT_GT(centre(true), 128);
}

TEST(AnnotateTest, FractionsAreOfThePicture) {
  const Picture picture(PixelFormat::kI420, 640, 480, 128);
  I420Image in_pixels;
  I420Image in_fractions;
  ASSERT_TRUE(in_pixels.CopyFrom(picture.view, 640).ok());
  ASSERT_TRUE(in_fractions.CopyFrom(picture.view, 640).ok());
  const std::span<const Detection> none;
  const Overlay pixels = {.name = "gate", .points = {{0, 0}, {320, 480}}, .closed = false};
  const Overlay fractions = {
      .name = "gate", .points = {{0, 0}, {0.5F, 1}}, .closed = false, .fraction = true};
  Annotate(none, kLabels, std::span(&pixels, 1), &in_pixels);
  Annotate(none, kLabels, std::span(&fractions, 1), &in_fractions);
  EXPECT_TRUE(std::equal(in_pixels.plane(0), in_pixels.plane(0) + 640 * 480 * 3 / 2,
                         in_fractions.plane(0)));
}

TEST(AnnotateTest, SurvivesAnything) {
  std::mt19937 random(1);
  const float wild[] = {0,
                        5,
                        -1e30F,
                        1e30F,
                        std::numeric_limits<float>::quiet_NaN(),
                        std::numeric_limits<float>::infinity(),
                        -40,
                        31,
                        3e5F};
  const auto any = [&] { return wild[random() % std::size(wild)]; };
  for (const auto& [w, h] : {std::pair{1, 1}, std::pair{2, 3}, std::pair{32, 24}}) {
    const Picture picture(PixelFormat::kI420, w, h, 128);
    for (int i = 0; i < 200; ++i) {
      I420Image image;
      ASSERT_TRUE(image.CopyFrom(picture.view, 1 + static_cast<int>(random() % 40)).ok());
      const Detections detections = {{{any(), any(), any(), any()},
                                      any(),
                                      static_cast<int>(random()),
                                      static_cast<int>(random())}};
      const Overlay overlays[] = {
          {"z\xC3\xBC\xFF", {{any(), any()}, {any(), any()}, {any(), any()}}, true, false, true},
          {"", {{any(), any()}}, false, false, false},
          {"l", {{any(), any()}, {any(), any()}}, false, true, false}};
      Annotate(detections, kLabels, overlays, &image);
      AnnotateStatus(std::string(300, 'x'), &image);
    }
  }
  I420Image empty;
  AnnotateStatus("nothing", &empty);
}

}  // namespace
}  // namespace selvedge
