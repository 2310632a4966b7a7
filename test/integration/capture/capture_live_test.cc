// Live sources against real servers: connecting, losing, coming back, refusing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "http_camera.h"
#include "recorder.h"
#include "rtsp_camera.h"

namespace selvedge {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

SourceOptions Live(const std::string& uri) {
  SourceOptions options;
  options.uri = uri;
  options.backoff_first = 20 * kMillisecond;
  options.backoff_max = 200 * kMillisecond;
  options.hardware = false;
  return options;
}

std::string Jpeg(const TempFolder& folder, int width = 160, int height = 120) {
  RunPipeline(TestVideo(1, width, height) +
              " ! jpegenc ! filesink location=" + folder.Path("one.jpg"));
  return ReadAll(folder.Path("one.jpg"));
}

TEST(CaptureRtsp, Plays) {
  for (const char* transport : {"tcp", "udp"}) {
    SCOPED_TRACE(transport);
    const RtspCamera camera({.sound = true});
    SourceOptions options = Live(camera.Uri());
    options.transport = transport;
    Recorder recorder;
    auto source = Made(options);
    EXPECT_TRUE(source->IsLive());
    ASSERT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
    ASSERT_TRUE(recorder.WaitFrames(20));
    const auto frames = recorder.Frames();
    ExpectNoGaps(frames);
    EXPECT_EQ(frames[0].width, 160);
    EXPECT_EQ(frames[0].height, 120);
    for (std::size_t i = 1; i < frames.size(); ++i) {
      EXPECT_GE(frames[i].captured, frames[i - 1].captured);
      EXPECT_LE(frames[i].captured, frames[i].arrived);
      EXPECT_LT(frames[i].arrived - frames[i].captured, 10 * kSecond);
    }
    EXPECT_THAT(source->Describe(), AllOf(HasSubstr("rtspsrc location=" + camera.Uri()),
                                          HasSubstr(std::string("protocols=") + transport),
                                          HasSubstr("rtpjpegdepay ! jpegdec ! appsink")));
    EXPECT_EQ(camera.StreamsSetUp(), 1) << "sound must not be asked for";
    source->Stop();
    EXPECT_EQ(recorder.Ends(), 0);
  }
}

TEST(CaptureRtsp, H264IsParsedAndDecoded) {
  if (!HasElement("x264enc")) GTEST_SKIP() << "this machine has no x264enc";
  const RtspCamera camera({.h264 = true});
  Recorder recorder;
  auto source = Made(Live(camera.Uri()));
  ASSERT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  ASSERT_TRUE(recorder.WaitFrames(10));
  EXPECT_THAT(source->Describe(), HasSubstr("rtph264depay ! h264parse ! avdec_h264 ! appsink"));
}

TEST(CaptureRtsp, ComesBackAndGoesOnCounting) {
  std::optional<RtspCamera> camera;
  camera.emplace(RtspCamera::Options{});
  const int port = camera->port();
  Recorder recorder;
  auto source = Made(Live(camera->Uri()));
  ASSERT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  ASSERT_TRUE(recorder.WaitFrames(5));
  for (int round = 1; round <= 2; ++round) {
    camera.reset();
    camera.emplace(RtspCamera::Options{.port = port});
    const std::size_t before = recorder.Count();
    ASSERT_TRUE(recorder.WaitFrames(before + 30)) << round;
  }
  ExpectNoGaps(recorder.Frames());
  EXPECT_GE(source->Stats().reconnects, 2u);
  source->Stop();
  EXPECT_EQ(recorder.Ends(), 0);
}

TEST(CaptureRtsp, PasswordsAreUsedAndHidden) {
  const TempFolder folder;
  const RtspCamera camera({.user = "viewer", .password = "s3cret"});
  WriteAll(folder.Path("password"), "s3cret\n");
  SourceOptions options = Live(camera.Uri());
  options.user = "viewer";
  options.password_file = folder.Path("password");
  Recorder recorder;
  auto source = Made(options);
  ASSERT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  ASSERT_TRUE(recorder.WaitFrames(3));
  source->Stop();

  std::string uri = camera.Uri();
  uri.insert(uri.find("//") + 2, "viewer:s3cret@");
  Recorder uri_recorder;
  auto from_uri = Made(Live(uri));
  ASSERT_EQ(from_uri->Start(uri_recorder.OnFrame(), uri_recorder.OnEnd()), OkStatus());
  ASSERT_TRUE(uri_recorder.WaitFrames(3));
  EXPECT_THAT(from_uri->Describe(), AllOf(Not(HasSubstr("s3cret")), HasSubstr("viewer:***@")));
}

TEST(CaptureRtsp, AWrongPasswordEndsOrIsTriedAgain) {
  const RtspCamera camera({.user = "viewer", .password = "right"});
  const TempFolder folder;
  WriteAll(folder.Path("password"), "wrong\n");
  SourceOptions options = Live(camera.Uri());
  options.user = "viewer";
  options.password_file = folder.Path("password");
  options.fail_fast = true;
  Recorder recorder;
  auto strict = Made(options);
  const Status status = strict->Start(recorder.OnFrame(), recorder.OnEnd());
  EXPECT_EQ(status.code(), StatusCode::kUnauthenticated) << status.ToString();
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr(camera.Uri()), HasSubstr("password"), Not(HasSubstr("wrong"))));

  options.fail_fast = false;
  auto patient = Made(options);
  ASSERT_EQ(patient->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  // The file is read at every attempt: correcting it is enough.
  WriteAll(folder.Path("password"), "right\n");
  EXPECT_TRUE(recorder.WaitFrames(3));
  EXPECT_EQ(recorder.Ends(), 0);
}

TEST(CaptureRtsp, UnreachableFailsFastOrWaits) {
  int free_port = 0;
  {
    const RtspCamera camera({});
    free_port = camera.port();
  }
  SourceOptions options = Live("rtsp://127.0.0.1:" + std::to_string(free_port) + "/camera");
  options.fail_fast = true;
  Recorder recorder;
  auto strict = Made(options);
  const Status status = strict->Start(recorder.OnFrame(), recorder.OnEnd());
  EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status.ToString();
  EXPECT_THAT(status.message(), AllOf(HasSubstr("cannot be reached"), HasSubstr(options.uri)));

  options.fail_fast = false;
  auto patient = Made(options);
  ASSERT_EQ(patient->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  const RtspCamera camera({.port = free_port});
  EXPECT_TRUE(recorder.WaitFrames(5));
  EXPECT_EQ(patient->Stats().reconnects, 0u) << "the first connection is no reconnection";
}

TEST(CaptureRtsp, AStreamThatEndsIsOpenedAgain) {
  const RtspCamera camera({.frames = 25});
  Recorder recorder;
  auto source = Made(Live(camera.Uri()));
  ASSERT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  ASSERT_TRUE(recorder.WaitFrames(40));
  ExpectNoGaps(recorder.Frames());
  EXPECT_EQ(recorder.Ends(), 0);
}

TEST(CaptureHttp, MjpegPlaysReconnectsAndKeepsCounting) {
  const TempFolder folder;
  const HttpCamera camera({.jpeg = Jpeg(folder), .pictures = 10});
  Recorder recorder;
  auto source = Made(Live(camera.Uri()));
  ASSERT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  ASSERT_TRUE(recorder.WaitFrames(25));
  const auto frames = recorder.Frames();
  ExpectNoGaps(frames);
  EXPECT_EQ(frames[0].width, 160);
  EXPECT_GE(camera.Connections(), 3);
  EXPECT_GE(source->Stats().reconnects, 2u);
  EXPECT_THAT(source->Describe(), HasSubstr("multipartdemux ! jpegdec ! appsink"));
  EXPECT_TRUE(source->IsLive());
  source->Stop();
  EXPECT_EQ(recorder.Ends(), 0);
}

TEST(CaptureHttp, CredentialsAndRefusals) {
  const TempFolder folder;
  const std::string jpeg = Jpeg(folder);
  const HttpCamera guarded(
      {.jpeg = jpeg, .authorization = "Basic dXNlcjpzM2NyZXQ="});  // user:s3cret
  WriteAll(folder.Path("password"), "s3cret");
  SourceOptions options = Live(guarded.Uri());
  options.user = "user";
  options.password_file = folder.Path("password");
  options.fail_fast = true;
  Recorder recorder;
  auto source = Made(options);
  EXPECT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  EXPECT_TRUE(recorder.WaitFrames(3));
  source->Stop();

  WriteAll(folder.Path("password"), "wrong");
  auto refused = Made(options);
  EXPECT_EQ(refused->Start(recorder.OnFrame(), recorder.OnEnd()).code(),
            StatusCode::kUnauthenticated);

  const HttpCamera absent({.jpeg = jpeg, .status = 404});
  options = Live(absent.Uri());
  options.fail_fast = true;
  auto missing = Made(options);
  EXPECT_EQ(missing->Start(recorder.OnFrame(), recorder.OnEnd()).code(), StatusCode::kNotFound);
}

TEST(CaptureHttp, SilenceIsDeathAfterTheTimeout) {
  const HttpCamera camera({.silent = true});
  SourceOptions options = Live(camera.Uri());
  options.timeout = 300 * kMillisecond;
  options.fail_fast = true;
  Recorder recorder;
  auto source = Made(options);
  const Status status = source->Start(recorder.OnFrame(), recorder.OnEnd());
  EXPECT_EQ(status.code(), StatusCode::kDeadlineExceeded) << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr("no picture"));
}

TEST(CaptureHttp, AStreamThatStallsIsOpenedAgain) {
  const TempFolder folder;
  const HttpCamera camera({.jpeg = Jpeg(folder), .pictures = 5, .stall = true});
  SourceOptions options = Live(camera.Uri());
  options.timeout = 300 * kMillisecond;
  Recorder recorder;
  auto source = Made(options);
  ASSERT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  ASSERT_TRUE(recorder.WaitFrames(12));
  ExpectNoGaps(recorder.Frames());
  EXPECT_GE(camera.Connections(), 3);
  EXPECT_GE(source->Stats().reconnects, 2u);
  EXPECT_EQ(recorder.Ends(), 0);
}

TEST(CaptureHttp, UnreachableAndFiles) {
  const TempFolder folder;
  std::string uri;
  {
    const HttpCamera camera({});
    uri = camera.Uri();
  }
  SourceOptions options = Live(uri);
  options.fail_fast = true;
  Recorder recorder;
  auto source = Made(options);
  const Status status = source->Start(recorder.OnFrame(), recorder.OnEnd());
  EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr("cannot be reached"));

  // A URL that ends like a file ends like one too.
  const HttpCamera camera({.jpeg = Jpeg(folder), .pictures = 12});
  auto file = Made(Fast(camera.Uri() + ".ts"));
  EXPECT_FALSE(file->IsLive());
  ASSERT_EQ(file->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  EXPECT_EQ(recorder.WaitEnd(), OkStatus());
  EXPECT_EQ(recorder.Count(), 12u);
}

TEST(CaptureLive, TheNewestIsKeptAtALimitedRate) {
  const RtspCamera camera({});  // 50 frames a second
  SourceOptions options = Live(camera.Uri());
  options.fps = 10;
  Recorder recorder;
  auto source = Made(options);
  ASSERT_EQ(source->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  ASSERT_TRUE(recorder.WaitFrames(12));
  source->Stop();
  const auto frames = recorder.Frames();
  ExpectNoGaps(frames);
  const Nanos span = frames.back().captured - frames.front().captured;
  EXPECT_GE(span, static_cast<Nanos>(frames.size() - 1) * 85 * kMillisecond);
}

TEST(CaptureLive, StopWhileConnectingAndWaiting) {
  const HttpCamera silent({.silent = true});
  for (const std::string& uri :
       {silent.Uri(), std::string("rtsp://127.0.0.1:9/none"),
        std::string("rtsp://192.0.2.1/unroutable"), std::string("/dev/video250")}) {
    SCOPED_TRACE(uri);
    for (const bool fail_fast : {false, true}) {
      SourceOptions options = Live(uri);
      options.backoff_first = 60 * kSecond;
      options.fail_fast = fail_fast;
      Recorder recorder;
      auto source = Made(options);
      std::thread starter([&] { (void)source->Start(recorder.OnFrame(), recorder.OnEnd()); });
      std::this_thread::yield();
      source->Stop();
      starter.join();
      source->Stop();
      EXPECT_EQ(recorder.Ends(), 0);
    }
  }
}

TEST(CaptureCamera, AMissingDeviceIsToldAndWaitedFor) {
  SourceOptions options = Live("/dev/video250");
  options.fail_fast = true;
  Recorder recorder;
  auto strict = Made(options);
  EXPECT_TRUE(strict->IsLive());
  const Status status = strict->Start(recorder.OnFrame(), recorder.OnEnd());
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("/dev/video250"), HasSubstr("plugged in")));
  options.fail_fast = false;
  auto patient = Made(options);
  EXPECT_EQ(patient->Start(recorder.OnFrame(), recorder.OnEnd()), OkStatus());
  patient->Stop();
  EXPECT_EQ(recorder.Ends(), 0);
}

}  // namespace
}  // namespace selvedge
