#include "synthetic_view.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace selvedge {
namespace {

constexpr int kWidth = 768;
constexpr int kHeight = 576;
constexpr int kFramesPerSecond = 25;

void Check(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::abort();
}

struct Walker {
  float x, y, height, speed;
  int shade, blue, red;
};
constexpr Walker kWalkers[] = {{90, 300, 150, 0.9F, 70, 120, 150},
                               {520, 350, 185, -1.3F, 150, 140, 110},
                               {300, 240, 110, 0.5F, 110, 110, 125},
                               {660, 270, 120, -0.6F, 60, 150, 120}};

// A paved square under a grey sky, and people as upright capsules on it.
class Scene {
 public:
  Scene() : pixels_(kWidth * kHeight * 3 / 2) {
    view_.width = kWidth;
    view_.height = kHeight;
    view_.planes = {Y(), Cb(), Cr()};
    view_.strides = {kWidth, kWidth / 2, kWidth / 2};
  }

  void Draw(int n) {
    for (int y = 0; y < kHeight; ++y) {
      for (int x = 0; x < kWidth; ++x) {
        const bool ground = y > 190;
        const int slab = ground && ((y - 190) % 48 < 2 || (x + y / 2) % 96 < 2) ? -14 : 0;
        Y()
        [y * kWidth + x] =
            static_cast<std::uint8_t>(ground ? 128 + (y - 190) / 9 + slab : 196 - y / 8);
      }
    }
    std::fill_n(Cb(), kWidth * kHeight / 4, std::uint8_t{126});
    std::fill_n(Cr(), kWidth * kHeight / 4, std::uint8_t{130});
    tracks_.clear();
    for (const Walker& walker : kWalkers) Put(walker, n);
  }
  const ImageView& view() const { return view_; }
  const Tracks& tracks() const { return tracks_; }

 private:
  std::uint8_t* Y() { return pixels_.data(); }
  std::uint8_t* Cb() { return Y() + kWidth * kHeight; }
  std::uint8_t* Cr() { return Cb() + kWidth * kHeight / 4; }

  void Put(const Walker& walker, int n) {
    const float span = kWidth + 200;
    const float x =
        std::fmod(walker.x + walker.speed * static_cast<float>(n) + span * 1000, span) - 100;
    const float width = walker.height * 0.34F;
    const Box box{x - width / 2, walker.y - walker.height / 2, x + width / 2,
                  walker.y + walker.height / 2};
    const int top = static_cast<int>(box.y1), bottom = static_cast<int>(box.y2);
    for (int py = std::max(0, top); py < std::min(kHeight, bottom); ++py) {
      const float at = (static_cast<float>(py) - box.y1) / walker.height;
      const float half = width * (at < 0.16F ? 0.2F : at < 0.6F ? 0.42F : 0.3F);
      for (int px = std::max(0, static_cast<int>(x - half));
           px < std::min(kWidth, static_cast<int>(x + half)); ++px) {
        const bool skin = at < 0.16F;
        Y()
        [py * kWidth + px] = static_cast<std::uint8_t>(skin ? 165 : at < 0.6F ? walker.shade : 48);
        Cb()[py / 2 * (kWidth / 2) + px / 2] = static_cast<std::uint8_t>(skin ? 110 : walker.blue);
        Cr()[py / 2 * (kWidth / 2) + px / 2] = static_cast<std::uint8_t>(skin ? 150 : walker.red);
      }
    }
    if (box.x2 < 5 || box.x1 > kWidth - 5) return;
    Track track;
    track.id = &walker - kWalkers + 12;
    track.box = box;
    track.score = 0.71F + 0.06F * static_cast<float>(track.id % 4);
    track.matched = true;
    tracks_.push_back(track);
  }

  std::vector<std::uint8_t> pixels_;
  ImageView view_;
  Tracks tracks_;
};

std::string EventLine(int n, Nanos wall) {
  static constexpr const char* kDecisions[] = {
      R"({"rule":"loading-bay","kind":"zone","state":"enter","zone":"loading bay","track":"13"})",
      R"({"rule":"crowd","kind":"count","state":"start","zone":"square","value":4,"threshold":3})",
      R"({"rule":"gate","kind":"line","state":"cross","zone":"gate","track":"12","direction":"a-to-b"})",
      R"({"rule":"loitering","kind":"dwell","state":"start","zone":"loading bay","track":"14","value":10.2,"threshold":10})",
      R"({"rule":"loading-bay","kind":"zone","state":"leave","zone":"loading bay","track":"13"})",
  };
  char id[32];
  std::snprintf(id, sizeof id, "01JDEMO%019d", n);
  return R"({"id":")" + std::string(id) + R"(","pipeline":"safety-monitor","captured_unix_ns":")" +
         std::to_string(wall) +
         R"(","detections":[{"label":"person","score":0.83,"track":"12"},{"label":"person","score":0.8,"track":"13"},)"
         R"({"label":"person","score":0.77,"track":"14"}],"decision":)" +
         kDecisions[n % 5] + "}";
}

HttpServerOptions ServerOptions(int port) {
  HttpServerOptions options;
  options.port = port;
  return options;
}

}  // namespace

SyntheticView::SyntheticView(int port) : server_(ServerOptions(port)) {
  status_.pipeline = "safety-monitor";
  status_.device = "dock-3";
  status_.source = "rtsp://viewer:secret@camera-3/stream1";
  status_.source_state = PipelineStatus::Source::kRunning;
  status_.model = "person-ssdlite 1.2";
  status_.engine = "openvino";
  status_.variant = "int8";
  status_.precision = "int8";
  status_.threads = 1;
  status_.workers = 2;
  status_.choice_reason =
      "Fastest that keeps p99 below 50 ms and accuracy within 0.01: 78.4 frames/s, "
      "onnxruntime int8 did 66.1, tflite fp32 31.9";
  LiveViewOptions options;
  options.enabled = true;
  options.labels = {"person"};
  options.overlays = {{"loading bay", {{430, 300}, {740, 300}, {760, 560}, {400, 560}}},
                      {"gate", {{40, 420}, {330, 300}}, false}};
  auto view = LiveView::Create(options);
  Check(view ? OkStatus() : view.error());
  view_ = std::move(*view);
  view_->AddRoutes(&server_);
  metrics_.AddCounter("selvedge_pipeline_frames", "Frames decided.", {{"pipeline", "safety"}});
  metrics_.AddHistogram("selvedge_pipeline_latency_seconds", "Capture to decision.",
                        LatencySecondsBounds());
  AddDeviceStatus(&server_, {.metrics = [this] { return metrics_.Render(); },
                             .status = [this] { return Status(); }});
  Check(server_.Start());
  thread_ = std::thread([this] { Run(); });
}

SyntheticView::~SyntheticView() {
  stop_ = true;
  thread_.join();
  view_->Stop();
  server_.Stop();
}

void SyntheticView::SetSource(PipelineStatus::Source state, std::string detail) {
  std::lock_guard lock(mutex_);
  status_.source_state = state;
  status_.source_detail = std::move(detail);
}

PipelineStatus SyntheticView::Status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

void SyntheticView::Step(int n) {
  std::lock_guard lock(mutex_);
  Ledger::Snapshot& ledger = status_.ledger;
  ledger.in = 84'000 + static_cast<std::uint64_t>(n);
  ledger.dropped[static_cast<std::size_t>(DropReason::kQueueFull)] = 1'204;
  ledger.dropped[static_cast<std::size_t>(DropReason::kCorrupt)] = 3;
  ledger.local = ledger.in - ledger.TotalDropped() - 1;
  status_.uptime_seconds = 3'421 + n / static_cast<double>(kFramesPerSecond);
  status_.last_frame_age_seconds = 0.02;
  status_.frames_per_second = 24.6 + 0.6 * std::sin(n / 60.0);
  status_.latency_p50_ms = 23.8;
  status_.latency_p90_ms = 27.1;
  status_.latency_p99_ms = 33.4;
  status_.events_written = 318 + static_cast<std::uint64_t>(n) / 60;
}

void SyntheticView::Run() {
  Scene scene;
  auto next = std::chrono::steady_clock::now();
  const Clock& clock = Clock::System();
  for (int i = 0; i < 9; ++i) {
    view_->OfferEvent(EventLine(i, clock.Wall() - (9 - i) * 17 * kSecond));
  }
  for (int n = 0; !stop_; ++n) {
    next += std::chrono::milliseconds(1000 / kFramesPerSecond);
    std::this_thread::sleep_until(next);
    if (Status().source_state != PipelineStatus::Source::kRunning) continue;
    Step(n);
    const Nanos captured = clock.Monotonic() - 24 * kMillisecond;
    if (view_->Wanted()) {
      scene.Draw(n);
      const std::lock_guard lock(mutex_);
      status_.counts = {{"person", static_cast<int>(scene.tracks().size())}};
    }
    view_->Show(scene.view(), captured, scene.tracks(), n / 100 % 2);
    if (n % 60 == 59) view_->OfferEvent(EventLine(9 + n / 60, clock.Wall()));
  }
}

}  // namespace selvedge
