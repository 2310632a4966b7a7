#include "device/capture/camera.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace selvedge {
namespace {

using testing::HasSubstr;

// As a USB webcam reports itself: raw is slow at large sizes, compressed is not.
CameraFacts Webcam() {
  return {"HD Webcam",
          {{CameraFormat::kYuyv, 640, 480, 30},
           {CameraFormat::kYuyv, 1280, 720, 10},
           {CameraFormat::kYuyv, 1920, 1080, 5},
           {CameraFormat::kJpeg, 640, 480, 30},
           {CameraFormat::kJpeg, 1280, 720, 30},
           {CameraFormat::kJpeg, 1920, 1080, 15}},
          640,
          480};
}

CameraMode Chosen(const CameraFacts& facts, int width, int height, double fps) {
  auto mode = ChooseCameraMode(facts, "/dev/video0", width, height, fps);
  EXPECT_TRUE(mode.has_value()) << mode.error().message();
  return mode.value_or(CameraMode{});
}

TEST(ChooseCameraMode, RawWhereItIsFastEnough) {
  EXPECT_EQ(Chosen(Webcam(), 640, 480, 30), (CameraMode{CameraFormat::kYuyv, 640, 480, 30}));
  EXPECT_EQ(Chosen(Webcam(), 1280, 720, 10), (CameraMode{CameraFormat::kYuyv, 1280, 720, 10}));
}

TEST(ChooseCameraMode, CompressedWhereRawIsTooSlow) {
  EXPECT_EQ(Chosen(Webcam(), 1280, 720, 30), (CameraMode{CameraFormat::kJpeg, 1280, 720, 30}));
  EXPECT_EQ(Chosen(Webcam(), 1280, 720, 0), (CameraMode{CameraFormat::kJpeg, 1280, 720, 30}));
}

TEST(ChooseCameraMode, TheFastestWhereNoneIsFastEnough) {
  EXPECT_EQ(Chosen(Webcam(), 1920, 1080, 60), (CameraMode{CameraFormat::kJpeg, 1920, 1080, 15}));
}

TEST(ChooseCameraMode, NoWishTakesTheCurrentSize) {
  EXPECT_EQ(Chosen(Webcam(), 0, 0, 0), (CameraMode{CameraFormat::kYuyv, 640, 480, 30}));
  CameraFacts facts = Webcam();
  facts.current_width = facts.current_height = 0;
  EXPECT_EQ(Chosen(facts, 0, 0, 0).width, 640);
}

TEST(ChooseCameraMode, PlanarFormatsNeedNoConversion) {
  CameraFacts facts = Webcam();
  facts.modes.push_back({CameraFormat::kNv12, 640, 480, 0});
  EXPECT_EQ(Chosen(facts, 640, 480, 30).format, CameraFormat::kNv12);
}

TEST(ChooseCameraMode, AnUnknownSizeNamesTheKnownOnes) {
  const auto mode = ChooseCameraMode(Webcam(), "/dev/video3", 800, 600, 0);
  ASSERT_FALSE(mode.has_value());
  EXPECT_EQ(mode.error().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(mode.error().message(), HasSubstr("/dev/video3"));
  EXPECT_THAT(mode.error().message(), HasSubstr("800x600"));
  EXPECT_THAT(mode.error().message(), HasSubstr("640x480, 1280x720, 1920x1080"));
}

TEST(CameraCaps, AskForTheSlowestRateThatIsEnough) {
  constexpr char kSize[] = "image/jpeg, width=(int)1280, height=(int)720";
  CameraMode mode{CameraFormat::kJpeg, 1280, 720, 30, {{30, 1}, {30000, 2002}, {5, 1}}};
  EXPECT_EQ(CameraCaps(mode, 0), kSize);
  EXPECT_EQ(CameraCaps(mode, 10), std::string(kSize) + ", framerate=(fraction)30000/2002");
  EXPECT_EQ(CameraCaps(mode, 29.97), std::string(kSize) + ", framerate=(fraction)30/1");
  EXPECT_EQ(CameraCaps(mode, 60), kSize);  // its own rate
}

TEST(CameraCaps, AnyRateWithinARange) {
  const CameraMode mode{CameraFormat::kYuyv, 640, 480, 60};
  EXPECT_EQ(CameraCaps(mode, 12.5),
            "video/x-raw, format=(string)YUY2, width=(int)640, height=(int)480, "
            "framerate=(fraction)12500/1000");
  EXPECT_EQ(CameraCaps(mode, 90),
            "video/x-raw, format=(string)YUY2, width=(int)640, height=(int)480");
}

TEST(QueryCamera, SaysWhatIsWrong) {
  const auto missing = QueryCamera("/dev/video250", 0, 0);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code(), StatusCode::kNotFound);
  EXPECT_THAT(missing.error().message(), HasSubstr("/dev/video250"));
  const auto not_camera = QueryCamera("/dev/null", 0, 0);
  ASSERT_FALSE(not_camera.has_value());
  EXPECT_EQ(not_camera.error().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace selvedge
