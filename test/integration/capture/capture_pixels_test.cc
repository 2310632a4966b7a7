// What is in a Frame: the decoder's very pixels, alive as long as the frame, without allocation.

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <vector>

#include "base/allocation_counter.h"
#include "recorder.h"

namespace selvedge {
namespace {

std::string Packed(const ImageView& image) {
  std::string out;
  const auto plane = [&](int index, int width, int height) {
    for (int y = 0; y < height; ++y) {
      const std::uint8_t* row = image.planes[static_cast<std::size_t>(index)] +
                                y * image.strides[static_cast<std::size_t>(index)];
      out.append(reinterpret_cast<const char*>(row), static_cast<std::size_t>(width));
    }
  };
  const int half_width = (image.width + 1) / 2;
  const int half_height = (image.height + 1) / 2;
  switch (image.format) {
    case PixelFormat::kI420:
      plane(0, image.width, image.height);
      plane(1, half_width, half_height);
      plane(2, half_width, half_height);
      break;
    case PixelFormat::kNv12:
      plane(0, image.width, image.height);
      plane(1, half_width * 2, half_height);
      break;
    case PixelFormat::kGray8: plane(0, image.width, image.height); break;
    case PixelFormat::kRgb24:
    case PixelFormat::kBgr24: plane(0, image.width * 3, image.height); break;
  }
  return out;
}

// All frames of `path`, packed, one after the other.
std::string PlayPacked(const std::string& path, std::vector<ImageView>* views = nullptr) {
  Recorder recorder;
  auto source = Made(Fast(path));
  std::string pixels;
  recorder.inspect = [&](Frame& frame) {
    pixels += Packed(frame.image);
    if (views != nullptr) views->push_back(frame.image);
  };
  EXPECT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  EXPECT_EQ(recorder.WaitEnd(), OkStatus());
  return pixels;
}

TEST(CapturePixels, AreThoseOfTheDecoder) {
  const TempFolder folder;
  // A width that decoders pad, and odd chroma.
  for (const auto& [width, height] : {std::pair{322, 242}, std::pair{161, 121}}) {
    SCOPED_TRACE(width);
    const std::string path = folder.Path("video.mkv");
    RunPipeline(TestVideo(12, width, height) +
                " ! theoraenc ! matroskamux ! filesink location=" + path);
    RunPipeline("filesrc location=" + path + " ! matroskademux ! theoradec ! videoconvert ! " +
                "video/x-raw,format=I420 ! filesink location=" + folder.Path("raw"));
    // GStreamer's own files pad each row of a plane to four bytes.
    const std::string raw = ReadAll(folder.Path("raw"));
    const std::string got = PlayPacked(path);
    const auto round4 = [](int n) { return static_cast<std::size_t>((n + 3) & ~3); };
    const int half_width = (width + 1) / 2;
    const int half_height = (height + 1) / 2;
    const int even_height = (height + 1) & ~1;
    const std::size_t luma = round4(width) * static_cast<std::size_t>(even_height);
    const std::size_t chroma = round4(half_width) * static_cast<std::size_t>(half_height);
    const std::size_t raw_frame = luma + 2 * chroma;
    ASSERT_EQ(raw.size(), 12 * raw_frame);
    std::string want;
    for (std::size_t f = 0; f < 12; ++f) {
      const char* frame = raw.data() + f * raw_frame;
      for (int y = 0; y < height; ++y)
        want.append(frame + round4(width) * static_cast<std::size_t>(y),
                    static_cast<std::size_t>(width));
      for (std::size_t p = 0; p < 2; ++p) {
        for (int y = 0; y < half_height; ++y) {
          want.append(frame + luma + p * chroma + round4(half_width) * static_cast<std::size_t>(y),
                      static_cast<std::size_t>(half_width));
        }
      }
    }
    EXPECT_EQ(got.size(), want.size());
    EXPECT_TRUE(got == want);
  }
}

TEST(CapturePixels, AreNotCopiedOnTheWay) {
  if (!HasElement("avenc_mpeg4")) GTEST_SKIP() << "this machine has no avenc_mpeg4";
  const TempFolder folder;
  const std::string path = folder.Path("padded.avi");
  RunPipeline(TestVideo(4, 322, 240) + " ! avenc_mpeg4 ! avimux ! filesink location=" + path);
  std::vector<ImageView> views;
  PlayPacked(path, &views);
  ASSERT_EQ(views.size(), 4u);
  // libav decodes with room around the picture; a copy would have GStreamer's tight rows of 324
  // bytes.
  EXPECT_GT(views[3].strides[0], 324);
}

TEST(CapturePixels, ForeignFormatsAreConvertedNearest) {
  const TempFolder folder;
  struct Case {
    const char* format;
    PixelFormat becomes;
  };
  for (const Case& c : {Case{"Y42B", PixelFormat::kI420}, Case{"Y444", PixelFormat::kI420},
                        Case{"I420", PixelFormat::kI420}}) {
    SCOPED_TRACE(c.format);
    const std::string path = folder.Path("raw.y4m");
    RunPipeline("videotestsrc num-buffers=3 ! video/x-raw,format=" + std::string(c.format) +
                ",width=64,height=48 ! y4menc ! filesink location=" + path);
    std::vector<ImageView> views;
    PlayPacked(path, &views);
    ASSERT_EQ(views.size(), 3u);
    EXPECT_EQ(views[0].format, c.becomes);
  }
}

TEST(CapturePixels, MatrixAndRangeComeFromTheStream) {
  const TempFolder folder;
  const std::string sd = folder.Path("sd.avi");
  RunPipeline(TestVideo(2, 320, 240) + " ! jpegenc ! avimux ! filesink location=" + sd);
  std::vector<ImageView> views;
  PlayPacked(sd, &views);
  ASSERT_FALSE(views.empty());
  EXPECT_EQ(views[0].matrix, ColorMatrix::kBt601);
  EXPECT_TRUE(views[0].full_range);  // JFIF

  const std::string hd = folder.Path("hd.ogg");
  RunPipeline(TestVideo(2, 1280, 720) + " ! vp8enc deadline=1 ! webmmux ! filesink location=" + hd);
  views.clear();
  PlayPacked(hd, &views);
  ASSERT_FALSE(views.empty());
  EXPECT_EQ(views[0].matrix, ColorMatrix::kBt709);
  EXPECT_FALSE(views[0].full_range);
}

TEST(CapturePixels, OutliveTheSource) {
  std::vector<Frame> kept;
  std::vector<std::string> copies;
  {
    Recorder recorder;
    auto source = Made(Fast("test://?width=320&height=240&frames=100"));
    recorder.inspect = [&](Frame& frame) {
      copies.push_back(Packed(frame.image));
      // More than the pool's slots, held all at once.
      kept.push_back(std::move(frame));
    };
    ASSERT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
    EXPECT_EQ(recorder.WaitEnd(), OkStatus());
    source->Stop();
  }
  ASSERT_EQ(kept.size(), 100u);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    ASSERT_TRUE(kept[i].HasPixels());
    ASSERT_TRUE(Packed(kept[i].image) == copies[i]) << i;
  }
  kept.erase(kept.begin(), kept.begin() + 50);
  kept[0].Reset();
  EXPECT_FALSE(kept[0].HasPixels());
}

TEST(CapturePixels, NothingIsAllocatedPerFrame) {
  const TempFolder folder;
  const std::string path = folder.Path("steady.avi");
  RunPipeline(TestVideo(200) + " ! jpegenc ! avimux ! filesink location=" + path);
  auto source = Made(Fast(path));
  Recorder recorder;
  // Told by the source's own thread, from after its warm-up.
  std::atomic<std::uint64_t> before{0};
  std::atomic<std::uint64_t> after{~std::uint64_t{0}};
  const Status started = source->Start(
      [&](const Frame& frame) {
        if (frame.sequence == 50) before.store(AllocationsOfThisThread());
        if (frame.sequence == 150) after.store(AllocationsOfThisThread());
      },
      recorder.OnEnd());
  ASSERT_EQ(started, OkStatus());
  EXPECT_EQ(recorder.WaitEnd(), OkStatus());
  EXPECT_EQ(after.load(), before.load());
}

}  // namespace
}  // namespace selvedge
