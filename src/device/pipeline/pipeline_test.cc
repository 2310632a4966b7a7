#include "device/pipeline/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/allocation_counter.h"
#include "base/config.h"
#include "engine/fake/fake_backend.h"

namespace selvedge {
namespace {

using ::testing::HasSubstr;

constexpr int kWidth = 64;
constexpr int kHeight = 48;

const char kCard[] = R"(
name: boxes
version: "1"
task: detection
variants: [{name: fp32, path: boxes.fake, precision: fp32}]
input: {layout: nhwc, color: rgb, width: 32, height: 32, resize: squash}
decoder: {kind: centernet, boxes: boxes, score_threshold: 0.3, nms_iou: 0.5}
labels: [person]
)";

// One box over the left upper quarter of the model's picture, whatever the picture.
std::string Model(const std::string& more) {
  return "selvedge-fake-model 1\n"
         "input image float32 [1,32,32,3]\n"
         "output boxes float32 [1,10,6] rows\n"
         "rows 0 boxes 0 0 16 16 0.9 0\n"
         "repeat\n" +
         more;
}

// Hands over what it is told to, from one thread of its own.
class ScriptedSource : public Source {
 public:
  // Called on the source's thread with the number of the frame; false ends the source.
  using Step = std::function<bool(int number, Frame* frame)>;
  explicit ScriptedSource(Step step, Status end = OkStatus(), Status start = OkStatus())
      : step_(std::move(step)), end_(std::move(end)), start_(std::move(start)) {
    pixels_.assign(static_cast<std::size_t>(4) * kWidth * kHeight * 3, 128);
  }
  ~ScriptedSource() override { Stop(); }

  Status Start(OnFrame on_frame, OnEnd on_end) override {
    if (!start_.ok()) return start_;
    thread_ = std::thread([this, on_frame = std::move(on_frame), on_end = std::move(on_end)] {
      for (int number = 0; !stopped_; ++number) {
        Frame frame(Picture(kWidth, kHeight), &released_,
                    [](void* counter) { ++*static_cast<std::atomic<int>*>(counter); });
        frame.captured = Clock::System().Monotonic();
        frame.scene_time = frame.captured;
        frame.sequence = static_cast<std::uint64_t>(number);
        if (!step_(number, &frame)) break;
        ++handed_over_;
        on_frame(std::move(frame));
      }
      if (!stopped_) on_end(end_);
    });
    return OkStatus();
  }
  void Stop() override {
    stopped_ = true;
    if (thread_.joinable()) thread_.join();
  }
  SourceStats Stats() const override { return {}; }
  std::string Describe() const override { return "scripted"; }
  bool IsLive() const override { return false; }
  std::uint64_t ExpectedFrames() const override { return 0; }

  ImageView Picture(int width, int height) const {
    return {.format = PixelFormat::kRgb24,
            .width = width,
            .height = height,
            .planes = {pixels_.data(), nullptr, nullptr},
            .strides = {width * 3, 0, 0}};
  }
  int released() const { return released_; }
  int handed_over() const { return handed_over_; }

 private:
  Step step_;
  Status end_;
  Status start_;
  std::vector<std::uint8_t> pixels_;
  std::atomic<bool> stopped_{false};
  std::atomic<int> released_{0};
  std::atomic<int> handed_over_{0};
  std::thread thread_;
};

ScriptedSource::Step Frames(int count) {
  return [count](int number, Frame*) { return number < count; };
}

class Recorder : public Publisher {
 public:
  void Publish(const DecidedFrame& decided) override {
    if (sequences.size() < sequences.capacity()) sequences.push_back(decided.frame.sequence);
    if (!decided.detections.empty()) last_box = decided.detections[0].box;
    firings += static_cast<int>(decided.firings.size());
    if (on_publish) on_publish();
  }
  std::vector<std::uint64_t> sequences;
  Box last_box;
  int firings = 0;
  std::function<void()> on_publish;
};

class PipelineTest : public ::testing::Test {
 protected:
  void SetUp() override { recorder_.sequences.reserve(100'000); }

  Status Make(const std::string& model, const PipelineOptions& options, Source* source,
              const std::string& rules = "rules: []", const std::string& card_text = kCard) {
    auto card = ModelCard::Parse(card_text, "boxes.card.yaml");
    if (!card) return card.error();
    auto engine = backend_->Load(std::as_bytes(std::span(model)), {});
    if (!engine) return engine.error();
    engine_ = *std::move(engine);
    auto document = ConfigDocument::Parse(rules, "pipeline.yaml");
    if (!document) return document.error();
    ConfigMap root = document->Root();
    RuleSet set = RuleSet::Parse(&root, card->labels);
    root.Finish();
    SELVEDGE_RETURN_IF_ERROR(document->status());
    auto pipeline = Pipeline::Create(options, source, engine_.get(), *card, TrackerOptions{},
                                     std::move(set), {&recorder_}, &metrics_, Clock::System());
    if (!pipeline) return pipeline.error();
    pipeline_ = *std::move(pipeline);
    return OkStatus();
  }

  // To the end, which must come.
  void Run() {
    ASSERT_TRUE(pipeline_->Start().ok());
    ASSERT_TRUE(pipeline_->WaitUntilDone(60 * kSecond));
    pipeline_->Stop();
  }

  void ExpectEveryFrameAccountedFor(const ScriptedSource& source) {
    const Ledger::Snapshot ledger = pipeline_->ReadLedger();
    EXPECT_TRUE(ledger.Balances()) << ledger.ToString();
    EXPECT_EQ(ledger.in, static_cast<std::uint64_t>(source.handed_over()));
    EXPECT_EQ(ledger.local, recorder_.sequences.size());
    // Pixels are given back exactly once; the source's own last, unused frame is released by it as
    // well.
    EXPECT_GE(source.released(), source.handed_over());
    EXPECT_LE(source.released(), source.handed_over() + 1);
    EXPECT_TRUE(std::ranges::is_sorted(recorder_.sequences));
    EXPECT_EQ(std::ranges::adjacent_find(recorder_.sequences), recorder_.sequences.end());
  }

  static std::uint64_t Dropped(const Ledger::Snapshot& ledger, DropReason reason) {
    return ledger.dropped[static_cast<std::size_t>(reason)];
  }

  std::unique_ptr<EngineBackend> backend_ = MakeFakeBackend();
  std::unique_ptr<Engine> engine_;
  MetricsRegistry metrics_;
  Recorder recorder_;
  std::unique_ptr<Pipeline> pipeline_;
};

PipelineOptions Blocking(int workers) {
  return {.workers = workers, .queue_capacity = 2, .queue_policy = DropPolicy::kBlock};
}

TEST_F(PipelineTest, EveryFrameIsDecidedOnceAndInOrderWithSeveralWorkers) {
  ScriptedSource source(Frames(300));
  ASSERT_TRUE(Make(Model("sleep 1\n"), Blocking(3), &source).ok());
  Run();
  EXPECT_EQ(recorder_.sequences.size(), 300U);
  ExpectEveryFrameAccountedFor(source);
  EXPECT_EQ(pipeline_->detections(), 300U);
  EXPECT_TRUE(pipeline_->status().ok());
}

TEST_F(PipelineTest, BoxesAreInSourcePixelsAlsoWhenThePictureChangesItsSize) {
  ScriptedSource source([&](int number, Frame* frame) {
    if (number >= 5) frame->image = source.Picture(2 * kWidth, 2 * kHeight);
    return number < 10;
  });
  ASSERT_TRUE(Make(Model(""), Blocking(1), &source).ok());
  recorder_.on_publish = [this] {
    const float scale = recorder_.sequences.back() < 5 ? 1 : 2;
    EXPECT_NEAR(recorder_.last_box.x2, scale * kWidth / 2, 0.01);
    EXPECT_NEAR(recorder_.last_box.y2, scale * kHeight / 2, 0.01);
  };
  Run();
  EXPECT_EQ(recorder_.sequences.size(), 10U);
  ExpectEveryFrameAccountedFor(source);
}

TEST_F(PipelineTest, OverloadDropsTheOldestAndCountsThem) {
  ScriptedSource source(Frames(2000));
  PipelineOptions options{.workers = 2, .queue_capacity = 2};
  ASSERT_TRUE(Make(Model("sleep 5\n"), options, &source).ok());
  Run();
  ExpectEveryFrameAccountedFor(source);
  const Ledger::Snapshot ledger = pipeline_->ReadLedger();
  EXPECT_GT(Dropped(ledger, DropReason::kQueueFull), 0U);
  EXPECT_EQ(ledger.TotalDropped(), Dropped(ledger, DropReason::kQueueFull));
  // The newest frame is never the one that is dropped.
  EXPECT_EQ(recorder_.sequences.back(), 1999U);
}

TEST_F(PipelineTest, AFrameThatFailsIsDroppedAndTheRestGoesOn) {
  ScriptedSource source(Frames(50));
  // Three runs warm each worker up.
  ASSERT_TRUE(Make(Model("fail 13 boom\n"), Blocking(1), &source).ok());
  Run();
  ExpectEveryFrameAccountedFor(source);
  const Ledger::Snapshot ledger = pipeline_->ReadLedger();
  EXPECT_EQ(ledger.local, 49U);
  EXPECT_EQ(Dropped(ledger, DropReason::kError), 1U);
  EXPECT_TRUE(pipeline_->status().ok());
}

TEST_F(PipelineTest, ManyFailuresInARowEndThePipelineWithTheReason) {
  std::string failures;
  for (int i = 20; i < 40; ++i) failures += "fail " + std::to_string(i) + " boom\n";
  ScriptedSource source(Frames(1'000'000));
  ASSERT_TRUE(Make(Model(failures), Blocking(1), &source).ok());
  Run();
  ExpectEveryFrameAccountedFor(source);
  EXPECT_THAT(pipeline_->status().message(), HasSubstr("10 frames in a row failed"));
  EXPECT_THAT(pipeline_->status().message(), HasSubstr("boom"));
}

TEST_F(PipelineTest, StoppingInTheMiddleAccountsForEveryFrame) {
  for (int attempt = 0; attempt < 20; ++attempt) {
    recorder_.sequences.clear();
    ScriptedSource source(Frames(1'000'000));
    std::atomic<bool> enough{false};
    recorder_.on_publish = [&] { enough = recorder_.sequences.size() > 5U; };
    ASSERT_TRUE(Make(Model("sleep 1\n"), Blocking(2), &source).ok());
    ASSERT_TRUE(pipeline_->Start().ok());
    while (!enough) std::this_thread::yield();
    pipeline_->Stop();
    pipeline_->Stop();
    ExpectEveryFrameAccountedFor(source);
    pipeline_.reset();
  }
}

TEST_F(PipelineTest, FramesThatAreTooOldAreDroppedAsStale) {
  ScriptedSource source([](int number, Frame* frame) {
    if (number % 2 == 0) frame->captured -= 10 * kSecond;
    return number < 20;
  });
  PipelineOptions options = Blocking(1);
  options.max_age = 5 * kSecond;
  ASSERT_TRUE(Make(Model(""), options, &source).ok());
  Run();
  ExpectEveryFrameAccountedFor(source);
  EXPECT_EQ(Dropped(pipeline_->ReadLedger(), DropReason::kStale), 10U);
}

TEST_F(PipelineTest, ASourceThatCannotStartSaysWhy) {
  ScriptedSource source(Frames(1), OkStatus(), NotFoundError("no such camera"));
  ASSERT_TRUE(Make(Model(""), Blocking(1), &source).ok());
  EXPECT_EQ(pipeline_->Start().message(), "no such camera");
  EXPECT_TRUE(pipeline_->WaitUntilDone(kSecond));
  EXPECT_EQ(pipeline_->status().message(), "no such camera");
}

TEST_F(PipelineTest, ASourceThatEndsInAnErrorEndsThePipelineWithIt) {
  ScriptedSource source(Frames(7), UnavailableError("the camera is gone"));
  ASSERT_TRUE(Make(Model(""), Blocking(2), &source).ok());
  Run();
  ExpectEveryFrameAccountedFor(source);
  EXPECT_EQ(recorder_.sequences.size(), 7U);
  EXPECT_EQ(pipeline_->status().message(), "the camera is gone");
}

TEST_F(PipelineTest, PixelsThatCannotBeUsedAreAnErrorOfThatFrameOnly) {
  ScriptedSource source([](int number, Frame* frame) {
    if (number == 3) frame->image.planes = {};
    return number < 10;
  });
  ASSERT_TRUE(Make(Model(""), Blocking(1), &source).ok());
  Run();
  ExpectEveryFrameAccountedFor(source);
  EXPECT_EQ(Dropped(pipeline_->ReadLedger(), DropReason::kError), 1U);
}

TEST_F(PipelineTest, AZoneInPixelsOutsideOfThePictureEndsThePipelineWithASentence) {
  ScriptedSource source(Frames(100));
  ASSERT_TRUE(Make(Model(""), Blocking(2), &source,
                   "zones: {far: {unit: pixels, points: [[0, 0], [500, 0], [500, 40]]}}\n"
                   "rules: [{name: r, kind: zone, zone: far}]\n")
                  .ok());
  Run();
  ExpectEveryFrameAccountedFor(source);
  EXPECT_THAT(pipeline_->status().message(), HasSubstr("far"));
  EXPECT_THAT(pipeline_->status().message(), HasSubstr("64"));
}

TEST_F(PipelineTest, DetectionsBelowTheThresholdAreUsedByNobody) {
  PipelineOptions options = Blocking(1);
  options.confidence_threshold = 0.95F;  // the model says 0.9
  ScriptedSource source(Frames(10));
  ASSERT_TRUE(Make(Model(""), options, &source, "rules: [{name: there, kind: presence}]\n").ok());
  Run();
  EXPECT_EQ(recorder_.firings, 0);
  EXPECT_EQ(recorder_.last_box.x2, 0);
  EXPECT_EQ(pipeline_->detections(), 0u);
}

TEST_F(PipelineTest, RulesFire) {
  ScriptedSource source(Frames(10));
  ASSERT_TRUE(
      Make(Model(""), Blocking(1), &source, "rules: [{name: there, kind: presence}]\n").ok());
  Run();
  EXPECT_EQ(recorder_.firings, 1);
  EXPECT_THAT(metrics_.Render(),
              HasSubstr("selvedge_pipeline_rule_firings_total{pipeline=\"pipeline\"} 1"));
}

TEST_F(PipelineTest, ACardThatContradictsTheModelIsRefused) {
  ScriptedSource source(Frames(1));
  std::string card = kCard;
  card.replace(card.find("width: 32"), 9, "width: 31");
  const Status status = Make(Model(""), Blocking(1), &source, "rules: []", card);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr("31"));
}

TEST_F(PipelineTest, NothingIsAllocatedPerFrameAfterWarmUp) {
#ifdef SELVEDGE_SANITIZED
  GTEST_SKIP() << "sanitizers replace operator new";
#endif
  // Each worker meets the picture's size for the first time in its first frame; sleeping makes both
  // take part.
  constexpr int kWarm = 100;
  constexpr int kCounted = 300;
  std::atomic<std::uint64_t> before{0};
  std::atomic<std::uint64_t> after{0};
  ScriptedSource source([&](int number, Frame*) {
    if (number == kWarm) before = AllocationsOfProcess();
    if (number == kWarm + kCounted) after = AllocationsOfProcess();
    return number < kWarm + kCounted + 10;
  });
  ASSERT_TRUE(Make(Model("sleep 1\n"), Blocking(2), &source,
                   "zones: {left: {points: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}}\n"
                   "rules: [{name: a, kind: presence}, {name: b, kind: zone, zone: left},\n"
                   "  {name: c, kind: count, compare: \">=\", value: 1}]\n")
                  .ok());
  Run();
  EXPECT_EQ(recorder_.sequences.size(), static_cast<std::size_t>(kWarm + kCounted + 10));
  EXPECT_EQ(after - before, 0U);
}

}  // namespace
}  // namespace selvedge
