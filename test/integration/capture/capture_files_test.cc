// Files: containers and codecs, pacing, looping, ends, and everything that can be wrong with one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "recorder.h"

namespace selvedge {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Starts, waits for the end, and gives back its status.
Status PlayToEnd(Source& source, Recorder* recorder) {
  if (Status status = source.Start(recorder->OnFrame(), recorder->OnEnd()); !status.ok())
    return status;
  return recorder->WaitEnd().value_or(DeadlineExceededError("no end"));
}

TEST(CaptureFile, EveryContainerAndCodec) {
  struct Case {
    const char* name;
    const char* encoder;  // must exist
    const char* chain;
    const char* decoder;  // part of Describe
  };
  const Case cases[] = {
      {"a.avi", "avenc_mpeg4", "avenc_mpeg4 ! avimux", "avidemux ! avdec_mpeg4 ! appsink"},
      {"b.mp4", "avenc_mpeg4", "avenc_mpeg4 ! mp4mux", "qtdemux ! avdec_mpeg4 ! appsink"},
      {"c.mkv", "avenc_mpeg4", "avenc_mpeg4 ! matroskamux",
       "matroskademux ! avdec_mpeg4 ! appsink"},
      {"d.avi", "jpegenc", "jpegenc ! avimux", "avidemux ! jpegdec ! appsink"},
      {"e.ogg", "theoraenc", "theoraenc ! oggmux", "oggdemux ! theoradec ! appsink"},
      {"f.webm", "vp8enc", "vp8enc deadline=1 ! webmmux", "matroskademux ! vp8dec ! appsink"},
      {"g.mp4", "x264enc", "x264enc ! h264parse ! mp4mux", "qtdemux ! avdec_h264 ! appsink"},
      {"h.ts", "x264enc", "x264enc ! h264parse ! mpegtsmux",
       "tsdemux ! h264parse ! avdec_h264 ! appsink"},
      {"i.264", "x264enc", "x264enc ! h264parse ! video/x-h264,stream-format=byte-stream",
       "h264parse ! avdec_h264 ! appsink"},
      {"j.y4m", "y4menc", "y4menc", "y4mdec ! appsink"},
  };
  const TempFolder folder;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    if (!HasElement(c.encoder)) {
      std::printf("left out: %s, this machine has no %s\n", c.name, c.encoder);
      continue;
    }
    const std::string path = folder.Path(c.name);
    RunPipeline(TestVideo(30) + " ! " + c.chain + " ! filesink location=" + path);
    SourceOptions options = Fast(path);
    options.hardware = false;
    Recorder recorder;
    auto source = Made(options);
    EXPECT_EQ(PlayToEnd(*source, &recorder), OkStatus());
    EXPECT_EQ(recorder.Count(), 30u);
    ExpectNoGaps(recorder.Frames());
    EXPECT_EQ(recorder.Frames().at(7).width, 320);
    EXPECT_EQ(recorder.Frames().at(7).height, 240);
    EXPECT_EQ(recorder.Frames().at(7).format, PixelFormat::kI420);
    EXPECT_THAT(source->Describe(), HasSubstr(c.decoder));
    EXPECT_FALSE(source->IsLive());
    EXPECT_EQ(source->Stats().corrupt, 0u);
    EXPECT_EQ(source->Stats().frames, 30u);
    EXPECT_GT(source->Stats().decode_cpu, 0);
    source->Stop();
    EXPECT_EQ(recorder.Ends(), 1);
  }
}

TEST(CaptureFile, TheDemoVideoGivesAllItsFrames) {
  if (DemoVideo().empty()) GTEST_SKIP() << "the demo video is not set up (.deps/video/vtest.avi)";
  Recorder recorder;
  auto source = Made(Fast(DemoVideo()));
  EXPECT_EQ(PlayToEnd(*source, &recorder), OkStatus());
  EXPECT_EQ(recorder.Count(), 795u);
  ExpectNoGaps(recorder.Frames());
  // Ten frames a second, however fast they were read.
  const std::vector<SeenFrame> frames = recorder.Frames();
  for (std::size_t i = 0; i < frames.size(); ++i) {
    EXPECT_EQ(frames[i].scene_time, static_cast<Nanos>(i) * kSecond / 10) << "frame " << i;
  }
  EXPECT_EQ(source->ExpectedFrames(), 795u);
  EXPECT_EQ(source->Stats().corrupt, 0u);
  EXPECT_EQ(source->Describe(),
            "filesrc location=" + DemoVideo() + " ! avidemux ! avdec_msmpeg4 ! appsink");
}

TEST(CaptureFile, SoundIsPassedOver) {
  const TempFolder folder;
  const std::string path = folder.Path("sound.mkv");
  RunPipeline("matroskamux name=m ! filesink location=" + path + " " + TestVideo(25) +
              " ! jpegenc ! queue ! m. audiotestsrc num-buffers=44 ! audioconvert ! "
              "audio/x-raw,format=S16LE ! "
              "queue ! m.");
  Recorder recorder;
  auto source = Made(Fast(path));
  EXPECT_EQ(PlayToEnd(*source, &recorder), OkStatus());
  EXPECT_EQ(recorder.Count(), 25u);
}

TEST(CaptureFile, RealTimeFramesAreDueByTheirTimestamps) {
  const TempFolder folder;
  const std::string path = folder.Path("paced.avi");
  RunPipeline(TestVideo(10, 160, 120, 10) + " ! jpegenc ! avimux ! filesink location=" + path);
  FakeClock clock(5 * kSecond);
  SourceOptions options;
  options.uri = path;
  Recorder recorder(clock);
  auto source = Made(options, clock);
  ASSERT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  for (std::size_t i = 1; i <= 10; ++i) {
    ASSERT_TRUE(recorder.WaitFrames(i));
    // The next is decoded and waits: time alone brings it.
    clock.Advance(100 * kMillisecond);
  }
  EXPECT_EQ(recorder.WaitEnd(), OkStatus());
  const auto frames = recorder.Frames();
  ASSERT_EQ(frames.size(), 10u);
  for (std::size_t i = 1; i < 10; ++i) {
    EXPECT_EQ(frames[i].captured - frames[0].captured, static_cast<Nanos>(i) * 100 * kMillisecond);
    EXPECT_GE(frames[i].arrived, frames[i].captured);
    EXPECT_EQ(frames[i].captured_wall - frames[i].captured, clock.Wall() - clock.Monotonic());
  }
}

TEST(CaptureFile, SpeedAndFpsThinAndQuicken) {
  const TempFolder folder;
  const std::string path = folder.Path("rate.avi");
  RunPipeline(TestVideo(50, 160, 120, 25) + " ! jpegenc ! avimux ! filesink location=" + path);
  SourceOptions options = Fast(path);
  options.fps = 5;
  Recorder recorder;
  auto thinned = Made(options);
  EXPECT_EQ(PlayToEnd(*thinned, &recorder), OkStatus());
  EXPECT_EQ(recorder.Count(), 10u);
  ExpectNoGaps(recorder.Frames());

  options.fps = 0;
  options.realtime = true;
  options.speed = 10;
  Recorder quick_recorder;
  auto quick = Made(options);
  EXPECT_EQ(PlayToEnd(*quick, &quick_recorder), OkStatus());
  const auto frames = quick_recorder.Frames();
  ASSERT_EQ(frames.size(), 50u);
  EXPECT_EQ(frames[49].captured - frames[0].captured, 49 * 4 * kMillisecond);
}

TEST(CaptureFile, LoopsWithoutAGap) {
  const TempFolder folder;
  const std::string path = folder.Path("loop.avi");
  RunPipeline(TestVideo(10, 160, 120, 25) + " ! jpegenc ! avimux ! filesink location=" + path);
  SourceOptions options;
  options.uri = path;
  options.loop = true;
  options.speed = 4;
  Recorder recorder;
  auto source = Made(options);
  ASSERT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  ASSERT_TRUE(recorder.WaitFrames(35));
  source->Stop();
  const auto frames = recorder.Frames();
  ExpectNoGaps(frames);
  for (std::size_t i = 1; i < frames.size(); ++i) {
    EXPECT_EQ(frames[i].captured - frames[i - 1].captured, 10 * kMillisecond) << i;
  }
  EXPECT_EQ(recorder.Ends(), 0);
  EXPECT_EQ(source->ExpectedFrames(), 0u);
}

TEST(CaptureFile, BackPressureHoldsAFastFile) {
  const TempFolder folder;
  const std::string path = folder.Path("press.avi");
  RunPipeline(TestVideo(40) + " ! jpegenc ! avimux ! filesink location=" + path);
  Recorder recorder;
  auto source = Made(Fast(path));
  std::atomic<bool> hold{true};
  recorder.inspect = [&](Frame&) { hold.wait(true); };
  ASSERT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  EXPECT_EQ(recorder.Count(), 0u);
  hold.store(false);
  hold.notify_all();
  EXPECT_EQ(recorder.WaitEnd(), OkStatus());
  EXPECT_EQ(recorder.Count(), 40u);
}

TEST(CaptureFile, ErrorsAreOneClearSentence) {
  const TempFolder folder;
  RunPipeline("audiotestsrc num-buffers=20 ! wavenc ! filesink location=" +
              folder.Path("sound.wav"));
  RunPipeline("matroskamux name=m ! filesink location=" + folder.Path("sound.mkv") +
              " audiotestsrc num-buffers=20 ! audioconvert ! audio/x-raw,format=S16LE ! m.");
  RunPipeline(TestVideo(20) + " ! jpegenc ! qtmux ! filesink location=" + folder.Path("whole.mp4"));
  WriteAll(folder.Path("headless.mp4"), ReadAll(folder.Path("whole.mp4")).substr(0, 4000));
  WriteAll(folder.Path("empty.mp4"), "");
  WriteAll(folder.Path("text.mp4"), std::string(5000, 'x') + " no video");
  std::string noise;
  for (unsigned i = 0, state = 1; i < 50000; ++i) {
    noise.push_back(static_cast<char>((state = state * 1103515245 + 12345) >> 16));
  }
  WriteAll(folder.Path("noise.avi"), noise);
  struct Case {
    const char* name;
    StatusCode code;
    const char* says;
  };
  for (const Case& c : {Case{"missing.avi", StatusCode::kNotFound, "does not exist"},
                        Case{"empty.mp4", StatusCode::kInvalidArgument, "is empty"},
                        Case{"text.mp4", StatusCode::kInvalidArgument, "video"},
                        Case{"noise.avi", StatusCode::kInvalidArgument, "video"},
                        Case{"sound.wav", StatusCode::kInvalidArgument, "no video"},
                        Case{"sound.mkv", StatusCode::kInvalidArgument, "no video"},
                        Case{"headless.mp4", StatusCode::kDataLoss, "cut off"}}) {
    SCOPED_TRACE(c.name);
    Recorder recorder;
    auto source = Made(Fast(folder.Path(c.name)));
    const Status status = source->Start(recorder.OnFrame(), recorder.OnEnd());
    EXPECT_EQ(status.code(), c.code) << status.ToString();
    EXPECT_THAT(status.message(),
                AllOf(HasSubstr(c.says), HasSubstr(folder.Path(c.name)), HasSubstr(";")));
    EXPECT_EQ(recorder.Count(), 0u);
    source->Stop();
    EXPECT_EQ(recorder.Ends(), 0);
  }
  Recorder recorder;
  auto device = Made(Fast("/dev/zero"));
  EXPECT_EQ(device->Start(recorder.OnFrame(), recorder.OnEnd()).code(),
            StatusCode::kInvalidArgument);
}

TEST(CaptureFile, ACutOffFileGivesWhatItHas) {
  const TempFolder folder;
  for (const char* muxer : {"avimux", "matroskamux"}) {
    SCOPED_TRACE(muxer);
    const std::string whole = folder.Path("whole");
    RunPipeline(TestVideo(50) + " ! jpegenc ! " + muxer + " ! filesink location=" + whole);
    const std::string bytes = ReadAll(whole);
    WriteAll(folder.Path("half"), bytes.substr(0, bytes.size() / 2));
    Recorder recorder;
    auto source = Made(Fast(folder.Path("half")));
    EXPECT_EQ(PlayToEnd(*source, &recorder), OkStatus());
    EXPECT_GT(recorder.Count(), 15u);
    EXPECT_LT(recorder.Count(), 35u);
  }
}

TEST(CaptureFile, DamageInTheMiddleIsCountedAndSurvived) {
  if (!HasElement("avenc_mpeg4")) GTEST_SKIP() << "this machine has no avenc_mpeg4";
  const TempFolder folder;
  const std::string path = folder.Path("damaged.avi");
  RunPipeline(TestVideo(200, 640, 480) +
              " ! avenc_mpeg4 bitrate=4000000 ! avimux ! filesink location=" + path);
  std::string bytes = ReadAll(path);
  for (std::size_t at = bytes.size() / 4; at < bytes.size() / 2; at += 997) {
    for (std::size_t i = 0; i < 24; ++i) bytes[at + i] = static_cast<char>(i * 37 + at);
  }
  WriteAll(path, bytes);
  Recorder recorder;
  auto source = Made(Fast(path));
  EXPECT_EQ(PlayToEnd(*source, &recorder), OkStatus());
  EXPECT_GT(recorder.Count(), 100u);
  ExpectNoGaps(recorder.Frames());
  EXPECT_GT(source->Stats().corrupt, 0u);
}

TEST(CaptureFile, ASizeThatChangesJustArrives) {
  const TempFolder folder;
  const std::string small = folder.Path("small");
  const std::string large = folder.Path("large");
  RunPipeline(TestVideo(12, 160, 120) + " ! jpegenc ! multipartmux ! filesink location=" + small);
  RunPipeline(TestVideo(8, 322, 242) + " ! jpegenc ! multipartmux ! filesink location=" + large);
  WriteAll(folder.Path("both"), ReadAll(small) + ReadAll(large));
  Recorder recorder;
  auto source = Made(Fast(folder.Path("both")));
  EXPECT_EQ(PlayToEnd(*source, &recorder), OkStatus());
  const auto frames = recorder.Frames();
  ASSERT_EQ(frames.size(), 20u);
  ExpectNoGaps(frames);
  EXPECT_EQ(frames[11].width, 160);
  EXPECT_EQ(frames[12].width, 322);
  EXPECT_EQ(frames[19].height, 242);
}

TEST(CaptureFile, ASizeThatChangesInsideH264) {
  if (!HasElement("x264enc")) GTEST_SKIP() << "this machine has no x264enc";
  const TempFolder folder;
  for (const auto& [name, width] : {std::pair{"small", 160}, std::pair{"large", 320}}) {
    RunPipeline(TestVideo(15, width, width * 3 / 4) +
                " ! x264enc bframes=0 ! h264parse config-interval=-1 ! "
                "video/x-h264,stream-format=byte-stream ! filesink location=" +
                folder.Path(name));
  }
  WriteAll(folder.Path("both.264"), ReadAll(folder.Path("small")) + ReadAll(folder.Path("large")));
  Recorder recorder;
  auto source = Made(Fast(folder.Path("both.264")));
  EXPECT_EQ(PlayToEnd(*source, &recorder), OkStatus());
  const auto frames = recorder.Frames();
  ASSERT_EQ(frames.size(), 30u);
  EXPECT_EQ(frames.front().width, 160);
  EXPECT_EQ(frames.back().width, 320);
}

TEST(CaptureFile, StopAtAnyTime) {
  const TempFolder folder;
  const std::string path = folder.Path("stop.avi");
  RunPipeline(TestVideo(100) + " ! jpegenc ! avimux ! filesink location=" + path);
  for (int round = 0; round < 20; ++round) {
    SourceOptions options = Fast(path);
    options.realtime = round % 2 == 0;
    options.loop = round % 3 == 0;
    Recorder recorder;
    auto source = Made(options);
    std::atomic<bool> stopped{false};
    std::atomic<bool> late{false};
    recorder.inspect = [&](Frame&) {
      if (stopped.load()) late.store(true);
    };
    std::thread starter([&] { (void)source->Start(recorder.OnFrame(), recorder.OnEnd()); });
    std::this_thread::yield();
    if (round % 4 == 0) (void)recorder.WaitFrames(static_cast<std::size_t>(round));
    source->Stop();
    stopped.store(true);
    starter.join();
    source->Stop();
    source.reset();
    EXPECT_FALSE(late.load());
  }
}

TEST(CaptureFile, StopFromTheCallback) {
  const TempFolder folder;
  const std::string path = folder.Path("inside.avi");
  RunPipeline(TestVideo(50) + " ! jpegenc ! avimux ! filesink location=" + path);
  Recorder recorder;
  auto source = Made(Fast(path));
  recorder.inspect = [&](Frame& frame) {
    if (frame.sequence == 4) source->Stop();
  };
  ASSERT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  ASSERT_TRUE(recorder.WaitFrames(5));
  source->Stop();
  EXPECT_EQ(recorder.Count(), 5u);
  EXPECT_EQ(recorder.Ends(), 0);
}

TEST(CaptureFile, StartsOnce) {
  Recorder recorder;
  auto source = Made(Fast("test://?frames=3&width=64&height=48"));
  EXPECT_EQ(PlayToEnd(*source, &recorder), OkStatus());
  EXPECT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()).code(),
            StatusCode::kFailedPrecondition);
}

TEST(CaptureTest, ThePatternHasSizeRateAndLength) {
  Recorder recorder;
  auto source = Made(Fast("test://?width=96&height=64&fps=12.5&frames=9"));
  EXPECT_EQ(PlayToEnd(*source, &recorder), OkStatus());
  EXPECT_EQ(recorder.Count(), 9u);
  EXPECT_EQ(source->ExpectedFrames(), 9u);
  EXPECT_EQ(recorder.Frames().at(0).width, 96);
  EXPECT_EQ(recorder.Frames().at(0).height, 64);
}

}  // namespace
}  // namespace selvedge
