// Folders of pictures.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "recorder.h"

namespace selvedge {
namespace {

using testing::HasSubstr;

void MakePicture(const std::string& path, const std::string& encoder, int width, int height,
                 const std::string& format = "I420") {
  RunPipeline("videotestsrc num-buffers=1 ! video/x-raw,format=" + format +
              ",width=" + std::to_string(width) + ",height=" + std::to_string(height) +
              " ! videoconvert ! " + encoder + " ! filesink location=" + path);
}

TEST(CaptureFolder, SortedMixedAndWithBadOnes) {
  const TempFolder folder;
  MakePicture(folder.Path("b.jpg"), "jpegenc", 320, 240);
  MakePicture(folder.Path("a.png"), "pngenc", 64, 48, "RGB");
  MakePicture(folder.Path("d.JPEG"), "jpegenc", 33, 17);
  MakePicture(folder.Path("g.png"), "pngenc", 20, 30, "GRAY8");
  MakePicture(folder.Path("h.png"), "pngenc", 21, 31, "RGBA");
  if (HasElement("webpenc")) {
    MakePicture(folder.Path("e.webp"), "webpenc", 80, 60);
  } else {
    MakePicture(folder.Path("e.webp"), "jpegenc", 80, 60);  // by content, not by name
  }
  WriteAll(folder.Path("c.jpg"), "this is no picture at all");
  WriteAll(folder.Path("f.jpg"), "");
  WriteAll(folder.Path("i.png"), ReadAll(folder.Path("a.png")).substr(0, 60));
  WriteAll(folder.Path("notes.txt"), "not even named like one");
  std::filesystem::create_directories(folder.Path("z.jpg"));

  Recorder recorder;
  auto source = Made(Fast(folder.Path("")));
  ASSERT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  EXPECT_EQ(recorder.WaitEnd(), OkStatus());
  const auto frames = recorder.Frames();
  ExpectNoGaps(frames);
  ASSERT_EQ(frames.size(), 6u);
  EXPECT_EQ(frames[0].width, 64);
  EXPECT_EQ(frames[0].format, PixelFormat::kRgb24);
  EXPECT_EQ(frames[1].width, 320);
  EXPECT_EQ(frames[1].format, PixelFormat::kI420);
  EXPECT_EQ(frames[2].width, 33);
  EXPECT_EQ(frames[3].width, 80);
  EXPECT_EQ(frames[4].format, PixelFormat::kGray8);
  EXPECT_EQ(frames[5].format, PixelFormat::kRgb24);
  EXPECT_EQ(frames[5].height, 31);
  EXPECT_EQ(source->Stats().corrupt, 3u);
  EXPECT_EQ(source->Stats().frames, 6u);
  EXPECT_EQ(source->ExpectedFrames(), 9u);
  EXPECT_FALSE(source->IsLive());
}

TEST(CaptureFolder, PacedAndLooped) {
  const TempFolder folder;
  for (int i = 0; i < 3; ++i)
    MakePicture(folder.Path(std::to_string(i) + ".jpg"), "jpegenc", 32, 32);
  SourceOptions options;
  options.uri = folder.Path("");
  options.loop = true;
  options.fps = 50;
  Recorder recorder;
  auto source = Made(options);
  ASSERT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  ASSERT_TRUE(recorder.WaitFrames(10));
  source->Stop();
  const auto frames = recorder.Frames();
  ExpectNoGaps(frames);
  for (std::size_t i = 1; i < frames.size(); ++i) {
    EXPECT_EQ(frames[i].captured - frames[i - 1].captured, 20 * kMillisecond);
  }
  EXPECT_EQ(recorder.Ends(), 0);
}

TEST(CaptureFolder, Errors) {
  const TempFolder folder;
  Recorder recorder;
  auto empty = Made(Fast(folder.Path("")));
  const Status none = empty->Start(recorder.OnFrame(), recorder.OnEnd());
  EXPECT_EQ(none.code(), StatusCode::kNotFound);
  EXPECT_THAT(none.message(), HasSubstr("holds no pictures"));
  WriteAll(folder.Path("bad.jpg"), "bad");
  auto bad = Made(Fast(folder.Path("")));
  EXPECT_EQ(bad->Start(recorder.OnFrame(), recorder.OnEnd()).code(), StatusCode::kDataLoss);
  EXPECT_EQ(bad->Stats().corrupt, 1u);
  EXPECT_EQ(recorder.Count(), 0u);
}

}  // namespace
}  // namespace selvedge
