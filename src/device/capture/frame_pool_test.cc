#include "device/capture/frame_pool.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "device/capture/gst_util.h"

namespace selvedge {
namespace {

std::optional<RawFormat> Parsed(const std::string& caps) {
  EXPECT_TRUE(InitGst().ok());
  const GstOwn<GstCaps> parsed(gst_caps_from_string(caps.c_str()));
  return ParseRawFormat(parsed.get());
}

std::string Raw(const std::string& format, int width, int height, const std::string& more = "") {
  return "video/x-raw, format=(string)" + format + ", width=(int)" + std::to_string(width) +
         ", height=(int)" + std::to_string(height) + ", framerate=(fraction)25/1" + more;
}

TEST(ParseRawFormat, OursAndForeign) {
  EXPECT_EQ(Parsed(Raw("I420", 64, 48))->format, PixelFormat::kI420);
  EXPECT_EQ(Parsed(Raw("NV12", 64, 48))->format, PixelFormat::kNv12);
  EXPECT_EQ(Parsed(Raw("GRAY8", 64, 48))->format, PixelFormat::kGray8);
  EXPECT_EQ(Parsed(Raw("RGB", 64, 48))->format, PixelFormat::kRgb24);
  EXPECT_EQ(Parsed(Raw("BGR", 64, 48))->format, PixelFormat::kBgr24);
  EXPECT_FALSE(Parsed(Raw("YUY2", 64, 48)));
  EXPECT_FALSE(Parsed(Raw("P010_10LE", 64, 48)));
  EXPECT_FALSE(Parsed("image/jpeg"));
  EXPECT_FALSE(
      Parsed("video/x-raw(memory:DMABuf), format=(string)NV12, width=(int)64, height=(int)48"));
}

TEST(ParseRawFormat, MatrixAndRange) {
  EXPECT_EQ(Parsed(Raw("I420", 768, 576))->matrix, ColorMatrix::kBt601);
  EXPECT_EQ(Parsed(Raw("I420", 1920, 1080))->matrix, ColorMatrix::kBt709);
  EXPECT_EQ(Parsed(Raw("I420", 320, 240, ", colorimetry=(string)bt709"))->matrix,
            ColorMatrix::kBt709);
  EXPECT_EQ(Parsed(Raw("I420", 1920, 1080, ", colorimetry=(string)bt601"))->matrix,
            ColorMatrix::kBt601);
  EXPECT_EQ(Parsed(Raw("I420", 1920, 1080, ", colorimetry=(string)bt2020"))->matrix,
            ColorMatrix::kBt709);
  EXPECT_FALSE(Parsed(Raw("I420", 320, 240, ", colorimetry=(string)bt601"))->full_range);
  EXPECT_TRUE(Parsed(Raw("I420", 320, 240, ", colorimetry=(string)1:4:0:0"))->full_range);
}

TEST(FramePool, PlanesStandInOrder) {
  for (const char* format : {"I420", "YV12"}) {
    SCOPED_TRACE(format);
    const auto raw = Parsed(Raw(format, 8, 4));
    ASSERT_TRUE(raw);
    GstBuffer* buffer = gst_buffer_new_allocate(nullptr, GST_VIDEO_INFO_SIZE(&raw->info), nullptr);
    GstVideoFrame writable;
    ASSERT_TRUE(gst_video_frame_map(&writable, &raw->info, buffer, GST_MAP_WRITE));
    // By component, not by plane: that is what differs.
    for (guint c = 0; c < 3; ++c) {
      *static_cast<std::uint8_t*>(GST_VIDEO_FRAME_COMP_DATA(&writable, c)) =
          static_cast<std::uint8_t>(10 + c);
    }
    gst_video_frame_unmap(&writable);
    FramePool pool;
    const Frame frame = pool.Wrap(buffer, *raw);
    gst_buffer_unref(buffer);
    ASSERT_TRUE(frame.HasPixels());
    EXPECT_EQ(frame.image.planes[0][0], 10);
    EXPECT_EQ(frame.image.planes[1][0], 11);
    EXPECT_EQ(frame.image.planes[2][0], 12);
    EXPECT_EQ(frame.image.width, 8);
    EXPECT_EQ(frame.image.height, 4);
    EXPECT_EQ(frame.image.strides[1], 4);
  }
}

TEST(FramePool, GivesBuffersBackAndOutlivesItsOwner) {
  const auto raw = Parsed(Raw("GRAY8", 16, 16));
  ASSERT_TRUE(raw);
  GstBuffer* buffer = gst_buffer_new_allocate(nullptr, GST_VIDEO_INFO_SIZE(&raw->info), nullptr);
  std::vector<Frame> frames;
  {
    FramePool pool;
    for (int i = 0; i < 200; ++i) frames.push_back(pool.Wrap(buffer, *raw));  // more than its slots
    EXPECT_EQ(pool.InUse(), 200);
    EXPECT_EQ(GST_MINI_OBJECT_REFCOUNT_VALUE(buffer), 201);
    frames.resize(100);
    EXPECT_EQ(pool.InUse(), 100);
  }
  std::thread other([&] { frames.clear(); });
  other.join();
  EXPECT_EQ(GST_MINI_OBJECT_REFCOUNT_VALUE(buffer), 1);
  gst_buffer_unref(buffer);
}

TEST(FramePool, ABufferThatIsTooSmallIsNoFrame) {
  const auto raw = Parsed(Raw("I420", 64, 64));
  ASSERT_TRUE(raw);
  GstBuffer* buffer = gst_buffer_new_allocate(nullptr, 10, nullptr);
  FramePool pool;
  EXPECT_FALSE(pool.Wrap(buffer, *raw).HasPixels());
  EXPECT_EQ(pool.InUse(), 0);
  EXPECT_EQ(GST_MINI_OBJECT_REFCOUNT_VALUE(buffer), 1);
  gst_buffer_unref(buffer);
}

}  // namespace
}  // namespace selvedge
