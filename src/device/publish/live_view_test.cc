#include "device/publish/live_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <turbojpeg.h>

#include <atomic>
#include <chrono>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "net/http_test_client.h"

namespace selvedge {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

template <typename Condition>
bool Eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

class GrayPicture {
 public:
  GrayPicture(int width, int height)
      : pixels_(static_cast<std::size_t>(width * height * 3 / 2), 128) {
    view_.width = width;
    view_.height = height;
    view_.planes = {pixels_.data(), pixels_.data() + width * height,
                    pixels_.data() + width * height * 5 / 4};
    view_.strides = {width, width / 2, width / 2};
  }
  const ImageView& view() const { return view_; }

 private:
  std::vector<std::uint8_t> pixels_;
  ImageView view_;
};

class LiveViewTest : public ::testing::Test {
 protected:
  LiveViewTest() {
    options_.enabled = true;
    options_.fps = 10;
    options_.labels = {"person"};
  }
  ~LiveViewTest() override {
    StopShowing();
    if (server_) server_->Stop();
  }

  void Serve() {
    auto view = LiveView::Create(options_, clock_);
    ASSERT_TRUE(view) << view.error().ToString();
    view_ = std::move(*view);
    HttpServerOptions http;
    http.port = 0;
    server_ = std::make_unique<HttpServer>(http);
    view_->AddRoutes(server_.get());
    ASSERT_TRUE(server_->Start().ok());
  }
  // Pictures come on another thread, one every 100 ms of the fake clock.
  void KeepShowing(const ImageView& image) {
    shower_ = std::thread([this, &image] {
      while (!stop_) {
        clock_.Advance(100 * kMillisecond);
        view_->Show(image, clock_.Monotonic() - 20 * kMillisecond, tracks_);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  }
  void StopShowing() {
    stop_ = true;
    if (shower_.joinable()) shower_.join();
  }
  std::string Get(std::string_view path) {
    TestClient client(server_->port());
    client.Get(path);
    return client.ReadResponse();
  }

  FakeClock clock_{kSecond};
  LiveViewOptions options_;
  Tracks tracks_{{.id = 1, .box = {10, 10, 60, 90}, .score = 0.9F, .matched = true}};
  std::unique_ptr<LiveView> view_;
  std::unique_ptr<HttpServer> server_;
  std::atomic<bool> stop_{false};
  std::thread shower_;
  GrayPicture picture_{320, 240};
};

// Size of a JPEG, 0 x 0 where it is none.
std::pair<int, int> JpegSize(std::string_view jpeg) {
  tjhandle handle = tjInitDecompress();
  int width = 0, height = 0, subsampling = 0, colors = 0;
  tjDecompressHeader3(handle, reinterpret_cast<const unsigned char*>(jpeg.data()), jpeg.size(),
                      &width, &height, &subsampling, &colors);
  tjDestroy(handle);
  return {width, height};
}

TEST_F(LiveViewTest, IsOffUnlessSwitchedOn) {
  EXPECT_FALSE(LiveViewOptions().enabled);
  options_.enabled = false;
  Serve();
  view_->OfferEvent("{\"secret\":1}");
  view_->Show(picture_.view(), 0, tracks_);
  for (const char* path : {"/", "/live.mjpg", "/snapshot.jpg", "/api/events"}) {
    EXPECT_THAT(Get(path), StartsWith("HTTP/1.1 404 ")) << path;
  }
  EXPECT_EQ(view_->counts().shown, 0u);
}

TEST_F(LiveViewTest, ForTheAgentThereIsOnePictureAndNothingElse) {
  options_.enabled = false;
  options_.for_agent = true;
  Serve();
  view_->OfferEvent("{\"secret\":1}");
  for (const char* path : {"/", "/live.mjpg", "/api/events"}) {
    EXPECT_THAT(Get(path), StartsWith("HTTP/1.1 404 ")) << path;
  }
  KeepShowing(picture_.view());
  const std::string answer = Get("/snapshot.jpg");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(JpegSize(answer.substr(answer.find("\r\n\r\n") + 4)), std::make_pair(320, 240));
}

TEST(LiveViewAgentTest, OnlyThisMachineIsItsAgents) {
  for (const char* remote : {"127.0.0.1:40312", "127.8.0.1:1", "[::1]:5", "[::ffff:127.0.0.1]:5"}) {
    EXPECT_TRUE(IsOfThisMachine(remote)) << remote;
  }
  for (const char* remote :
       {"", "10.0.0.7:127", "[::2]:5", "[::ffff:10.0.0.7]:5", "128.0.0.1:1", "[fe80::1]:1"}) {
    EXPECT_FALSE(IsOfThisMachine(remote)) << remote;
  }
}

TEST_F(LiveViewTest, WorksOnlyForWatchers) {
  Serve();
  EXPECT_FALSE(view_->Wanted());
  for (int i = 0; i < 10; ++i) {
    clock_.Advance(kSecond);
    view_->Show(picture_.view(), clock_.Monotonic(), tracks_);
  }
  view_->Stop();
  const LiveView::Counts counts = view_->counts();
  EXPECT_EQ(counts.shown + counts.skipped + counts.failed, 0u);
}

TEST_F(LiveViewTest, StreamsPicturesThatAreWholeJpegs) {
  Serve();
  TestClient client(server_->port());
  client.Get("/live.mjpg");
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"),
              HasSubstr("multipart/x-mixed-replace; boundary=selvedge-picture\r\n"));
  EXPECT_EQ(client.ReadUntil("\r\n"), "--selvedge-picture\r\n");
  EXPECT_TRUE(Eventually([&] { return view_->Wanted(); }));
  KeepShowing(picture_.view());
  for (int i = 0; i < 3; ++i) {
    const std::string head = client.ReadUntil("\r\n\r\n");
    EXPECT_THAT(head, StartsWith("Content-Type: image/jpeg\r\nContent-Length: "));
    EXPECT_THAT(head, HasSubstr("X-Age-Ms: "));
    const std::string jpeg = client.ReadBytes(std::stoul(head.substr(head.find("th: ") + 4)));
    EXPECT_EQ(JpegSize(jpeg), std::make_pair(320, 240));
    EXPECT_EQ(client.ReadUntil("--selvedge-picture\r\n"), "\r\n--selvedge-picture\r\n");
  }
  client.Close();
  EXPECT_TRUE(Eventually([&] { return !view_->Wanted(); }));
}

TEST_F(LiveViewTest, ASnapshotNeedsNoStream) {
  options_.max_width = 160;
  Serve();
  KeepShowing(picture_.view());
  const std::string answer = Get("/snapshot.jpg");
  EXPECT_THAT(answer, HasSubstr("Content-Type: image/jpeg\r\n"));
  EXPECT_EQ(JpegSize(answer.substr(answer.find("\r\n\r\n") + 4)), std::make_pair(160, 120));
  EXPECT_TRUE(Eventually([&] { return !view_->Wanted(); }));
}

TEST_F(LiveViewTest, KeepsToItsRate) {
  options_.fps = 5;
  Serve();
  TestClient client(server_->port());
  client.Get("/live.mjpg");
  ASSERT_TRUE(Eventually([&] { return view_->Wanted(); }));
  // Four seconds of 25 frames a second, each given time to be worked through.
  for (int i = 0; i < 100; ++i) {
    clock_.Advance(40 * kMillisecond);
    const std::uint64_t before = view_->counts().shown;
    view_->Show(picture_.view(), clock_.Monotonic(), tracks_);
    if (i % 5 == 0) {
      Eventually([&] { return view_->counts().shown > before; });
    }
  }
  const LiveView::Counts counts = view_->counts();
  EXPECT_GE(counts.shown + counts.skipped, 19u);
  EXPECT_LE(counts.shown + counts.skipped, 21u);
}

TEST_F(LiveViewTest, APictureWithoutPixelsIsCountedAndForgotten) {
  Serve();
  TestClient client(server_->port());
  client.Get("/live.mjpg");
  ASSERT_TRUE(Eventually([&] { return view_->Wanted(); }));
  view_->Show(ImageView{}, 0, tracks_);
  EXPECT_EQ(view_->counts().failed, 1u);
  clock_.Advance(kSecond);
  view_->Show(picture_.view(), 0, tracks_);
  EXPECT_TRUE(Eventually([&] { return view_->counts().shown == 1; }));
}

TEST_F(LiveViewTest, EventsAreAListOfTheLatest) {
  Serve();
  EXPECT_THAT(Get("/api/events"), ::testing::EndsWith("\r\n\r\n[]"));
  for (int i = 0; i < 60; ++i) view_->OfferEvent("{\"n\":" + std::to_string(i) + "}");
  const std::string answer = Get("/api/events");
  EXPECT_THAT(answer, HasSubstr("Content-Type: application/json\r\n"));
  const auto events = nlohmann::json::parse(answer.substr(answer.find("\r\n\r\n") + 4));
  ASSERT_EQ(events.size(), 50u);
  EXPECT_EQ(events[0]["n"], 10);
  EXPECT_EQ(events[49]["n"], 59);
}

TEST_F(LiveViewTest, ThePageAsksNobodyElse) {
  Serve();
  const std::string page = Get("/");
  EXPECT_THAT(page, HasSubstr("Content-Type: text/html; charset=utf-8\r\n"));
  EXPECT_THAT(page, HasSubstr("Content-Security-Policy: default-src 'none';"));
  EXPECT_THAT(page, HasSubstr("</html>"));
  for (const char* foreign : {"https://", "//cdn", "@import", "src=\"http"}) {
    EXPECT_THAT(page, Not(HasSubstr(foreign)));
  }
}

TEST_F(LiveViewTest, StopEndsStreamsAndWaitingRequests) {
  Serve();
  TestClient watcher(server_->port());
  watcher.Get("/live.mjpg");
  TestClient waiter(server_->port());
  waiter.Get("/snapshot.jpg");
  ASSERT_TRUE(Eventually([&] { return view_->Wanted(); }));
  watcher.ReadUntil("--selvedge-picture\r\n");
  view_->Stop();
  EXPECT_EQ(watcher.ReadAll(), "");
  EXPECT_TRUE(watcher.closed());
  EXPECT_THAT(waiter.ReadResponse(), StartsWith("HTTP/1.1 503 "));
  view_.reset();
  EXPECT_THAT(Get("/snapshot.jpg"), StartsWith("HTTP/1.1 503 "));
}

TEST_F(LiveViewTest, RefusesOptionsOutOfRange) {
  const auto code = [&](auto change) {
    LiveViewOptions options;
    change(options);
    const auto view = LiveView::Create(options);
    return view ? StatusCode::kOk : view.error().code();
  };
  using Options = LiveViewOptions&;
  EXPECT_EQ(code([](Options) {}), StatusCode::kOk);
  EXPECT_EQ(code([](Options o) { o.fps = 0; }), StatusCode::kInvalidArgument);
  EXPECT_EQ(code([](Options o) { o.fps = std::numeric_limits<double>::quiet_NaN(); }),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(code([](Options o) { o.max_width = 10; }), StatusCode::kInvalidArgument);
  EXPECT_EQ(code([](Options o) { o.jpeg_quality = 0; }), StatusCode::kInvalidArgument);
  EXPECT_EQ(code([](Options o) { o.overlays.resize(65); }), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace selvedge
