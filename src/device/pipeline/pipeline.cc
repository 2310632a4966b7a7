#include "device/pipeline/pipeline.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "vision/model_check.h"

namespace selvedge {
namespace {

// Runs before the first frame: engines take memory and pick kernels at their first runs.
constexpr int kWarmUpRuns = 3;
// Tickets that may be out of order per worker before a fast one waits for a slow one.
constexpr std::size_t kSlotsPerWorker = 3;

}  // namespace

Pipeline::Pipeline(const PipelineOptions& options, Source* source, const TrackerOptions& tracker,
                   RuleSet rules, std::vector<Publisher*> publishers, MetricsRegistry* metrics,
                   const Clock& clock)
    : options_(options),
      source_(source),
      clock_(clock),
      publishers_(std::move(publishers)),
      queue_(options.queue_capacity, options.queue_policy),
      slots_(static_cast<std::size_t>(options.workers) * kSlotsPerWorker),
      tracker_(tracker),
      rules_(std::move(rules)) {
  firings_.reserve(64);
  for (Slot& slot : slots_) slot.detections.reserve(512);
  AddMetrics(metrics);
}

Result<std::unique_ptr<Pipeline>> Pipeline::Create(const PipelineOptions& options, Source* source,
                                                   Engine* engine, const ModelCard& card,
                                                   const TrackerOptions& tracker, RuleSet rules,
                                                   std::vector<Publisher*> publishers,
                                                   MetricsRegistry* metrics, const Clock& clock) {
  if (options.workers < 1) return Err(InvalidArgumentError("a pipeline needs at least one worker"));
  const EngineInfo& info = engine->Describe();
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckCardAgainstModel(card, info.inputs, info.outputs));
  std::unique_ptr<Pipeline> pipeline(new Pipeline(options, source, tracker, std::move(rules),
                                                  std::move(publishers), metrics, clock));
  SELVEDGE_RETURN_ERR_IF_ERROR(pipeline->AddWorkers(engine, card));
  SELVEDGE_RETURN_ERR_IF_ERROR(pipeline->WarmUp());
  return pipeline;
}

Pipeline::~Pipeline() {
  Stop();
}

void Pipeline::AddMetrics(MetricsRegistry* metrics) {
  const MetricsRegistry::Labels labels = {{"pipeline", options_.name}};
  frames_in_ = &metrics->AddCounter("selvedge_pipeline_frames_captured",
                                    "Frames handed over by the source.", labels);
  frames_local_ = &metrics->AddCounter("selvedge_pipeline_frames_local",
                                       "Frames decided on this device.", labels);
  for (int i = 0; i < kDropReasonCount; ++i) {
    MetricsRegistry::Labels with_reason = labels;
    with_reason.emplace_back("reason", std::string(DropReasonName(static_cast<DropReason>(i))));
    frames_dropped_[i] = &metrics->AddCounter("selvedge_pipeline_frames_dropped",
                                              "Frames dropped, by reason.", with_reason);
  }
  detections_ =
      &metrics->AddCounter("selvedge_pipeline_detections", "Detections in decided frames.", labels);
  firings_count_ =
      &metrics->AddCounter("selvedge_pipeline_rule_firings", "Rules that fired.", labels);
  latency_seconds_ =
      &metrics->AddHistogram("selvedge_pipeline_latency_seconds", "From capture to decision.",
                             LatencySecondsBounds(), labels);
  infer_seconds_ = &metrics->AddHistogram("selvedge_pipeline_infer_seconds", "One engine run.",
                                          LatencySecondsBounds(), labels);
  queue_depth_ =
      &metrics->AddGauge("selvedge_pipeline_queue_depth", "Frames waiting for a worker.", labels);
  tracks_live_ = &metrics->AddGauge("selvedge_pipeline_tracks", "Objects being followed.", labels);
}

Status Pipeline::AddWorkers(Engine* engine, const ModelCard& card) {
  const EngineInfo& info = engine->Describe();
  if (info.inputs.size() != 1) {
    return UnimplementedError("model " + card.name + " has " + std::to_string(info.inputs.size()) +
                              " inputs; a pipeline feeds models with exactly one");
  }
  for (int i = 0; i < options_.workers; ++i) {
    Worker worker;
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(worker.execution, engine->NewExecution());
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(auto preprocessor,
                                     Preprocessor::Create(card.input, info.inputs[0]));
    worker.preprocessor.emplace(std::move(preprocessor));
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(worker.decoder, MakeDecoder(card, info.outputs));
    workers_.push_back(std::move(worker));
  }
  return OkStatus();
}

Status Pipeline::WarmUp() {
  for (Worker& worker : workers_) {
    const TensorView& input = worker.execution->inputs()[0];
    std::memset(input.data, 0, input.bytes);
    for (int run = 0; run < kWarmUpRuns; ++run) {
      SELVEDGE_RETURN_IF_ERROR(worker.execution->Run().WithContext("warming up the engine"));
    }
  }
  return OkStatus();
}

Status Pipeline::Start() {
  if (started_) return FailedPreconditionError("the pipeline was started before");
  {
    const std::lock_guard lock(order_mutex_);
    started_ = true;
    live_workers_ = static_cast<int>(workers_.size());
  }
  for (Worker& worker : workers_) worker.thread = std::thread([this, w = &worker] { Work(w); });
  Status started = source_->Start([this](Frame frame) { OnFrame(std::move(frame)); },
                                  [this](Status status) { OnEnd(std::move(status)); });
  if (!started.ok()) {
    OnEnd(started);
    Stop();
  }
  return started;
}

void Pipeline::OnFrame(Frame frame) {
  ledger_.CountIn();
  frames_in_->Add();
  if (stopping_.load(std::memory_order_relaxed)) {
    Drop(std::move(frame), DropReason::kShutdown);
    return;
  }
  auto pushed = queue_.Push(std::move(frame));
  if (pushed.evicted) {
    const bool closed = pushed.outcome == PushOutcome::kRefusedClosed;
    Drop(*std::move(pushed.evicted), closed ? DropReason::kShutdown : DropReason::kQueueFull);
  }
}

void Pipeline::OnEnd(Status status) {
  {
    const std::lock_guard lock(order_mutex_);
    source_ended_ = true;
    if (status_.ok()) status_ = std::move(status);
  }
  queue_.Close();
  done_changed_.notify_all();
}

void Pipeline::Drop(Frame frame, DropReason reason) {
  frame.Reset();
  ledger_.CountDropped(reason);
  frames_dropped_[static_cast<std::size_t>(reason)]->Add();
}

// The next frame worth inferring and its ticket, with the ticket's slot free; nullopt at the end.
std::optional<std::uint64_t> Pipeline::Take(Frame* frame) {
  const std::lock_guard take(take_mutex_);
  const std::uint64_t ticket = next_ticket_;
  {
    // Before the frame, so that it waits in the queue, where a newer one may replace it.
    std::unique_lock lock(order_mutex_);
    slot_free_.wait(lock, [&] { return ticket - next_emit_ < slots_.size(); });
  }
  while (auto next = queue_.Pop()) {
    if (stopping_.load(std::memory_order_relaxed)) {
      Drop(*std::move(next), DropReason::kShutdown);
    } else if (options_.max_age > 0 && clock_.Monotonic() - next->captured > options_.max_age) {
      Drop(*std::move(next), DropReason::kStale);
    } else {
      *frame = *std::move(next);
      ++next_ticket_;
      return ticket;
    }
  }
  return std::nullopt;
}

void Pipeline::Work(Worker* worker) {
  Frame frame;
  while (const auto ticket = Take(&frame)) {
    Slot& slot = SlotOf(*ticket);
    slot.frame = std::move(frame);
    const Status inferred = Infer(worker, &slot);
    if (!inferred.ok()) NoteError(inferred);
    Finish(*ticket, !inferred.ok());
  }
  {
    const std::lock_guard lock(order_mutex_);
    --live_workers_;
  }
  done_changed_.notify_all();
}

Status Pipeline::Infer(Worker* worker, Slot* slot) {
  const Nanos taken = clock_.Monotonic();
  slot->times.queue = taken - slot->frame.captured;
  slot->detections.clear();
  ImageTransform transform;
  SELVEDGE_RETURN_IF_ERROR(
      worker->preprocessor->Run(slot->frame.image, worker->execution->inputs()[0], &transform));
  const Nanos preprocessed = clock_.Monotonic();
  slot->times.preprocess = preprocessed - taken;
  SELVEDGE_RETURN_IF_ERROR(worker->execution->Run());
  const Nanos inferred = clock_.Monotonic();
  slot->times.infer = inferred - preprocessed;
  SELVEDGE_RETURN_IF_ERROR(
      worker->decoder->Decode(worker->execution->outputs(), transform, &slot->detections));
  if (const float least = options_.confidence_threshold; least > 0) {
    std::erase_if(slot->detections, [least](const Detection& d) { return d.score < least; });
  }
  slot->finished = clock_.Monotonic();
  slot->times.decode = slot->finished - inferred;
  consecutive_errors_.store(0, std::memory_order_relaxed);
  return OkStatus();
}

void Pipeline::NoteError(const Status& status) {
  const int errors = consecutive_errors_.fetch_add(1) + 1;
  {
    const std::lock_guard lock(order_mutex_);
    if (error_log_.Allow(clock_.Monotonic())) {
      log::Warning("pipeline", "a frame could not be inferred",
                   {{"pipeline", options_.name}, {"error", status.message()}});
    }
  }
  if (errors >= options_.max_consecutive_errors) {
    EndWith(status.WithContext(std::to_string(errors) + " frames in a row failed"));
  }
}

// From a worker: Stop() would join this very thread, so only the flag and the queue; whoever waits
// calls Stop.
void Pipeline::EndWith(Status status) {
  {
    const std::lock_guard lock(order_mutex_);
    if (status_.ok()) status_ = std::move(status);
  }
  stopping_.store(true);
  queue_.Close();
  done_changed_.notify_all();
}

void Pipeline::Finish(std::uint64_t ticket, bool failed) {
  std::unique_lock lock(order_mutex_);
  Slot& mine = SlotOf(ticket);
  mine.failed = failed;
  mine.ready = true;
  if (emitting_) return;  // whoever emits now sees it when he looks for the next
  emitting_ = true;
  while (SlotOf(next_emit_).ready) {
    Slot& slot = SlotOf(next_emit_);
    lock.unlock();
    Emit(&slot);
    lock.lock();
    slot.ready = false;
    ++next_emit_;
    slot_free_.notify_one();
  }
  emitting_ = false;
}

// Zones in pixels may not fit a picture whose size nobody knew when the file was read.
bool Pipeline::PictureFitsRules(const ImageView& image) {
  if (image.width == picture_width_ && image.height == picture_height_) return true;
  Status fits = rules_.CheckPicture(image.width, image.height);
  if (!fits.ok()) {
    EndWith(std::move(fits));
    return false;
  }
  picture_width_ = image.width;
  picture_height_ = image.height;
  return true;
}

void Pipeline::Emit(Slot* slot) {
  const Frame& frame = slot->frame;
  if (slot->failed || !PictureFitsRules(frame.image)) {
    Drop(std::move(slot->frame), DropReason::kError);
    return;
  }
  const Nanos start = clock_.Monotonic();
  slot->times.order = start - slot->finished;
  tracker_.Update(frame.scene_time, slot->detections);
  const Nanos tracked = clock_.Monotonic();
  slot->times.track = tracked - start;
  firings_.clear();
  rules_.Evaluate({.time = frame.scene_time,
                   .width = frame.image.width,
                   .height = frame.image.height,
                   .tracks = tracker_.tracks(),
                   .ended = tracker_.ended()},
                  &firings_);
  const Nanos decided = clock_.Monotonic();
  slot->times.decide = decided - tracked;
  slot->times.total = decided - frame.captured;

  const DecidedFrame view{.frame = frame,
                          .detections = slot->detections,
                          .tracks = tracker_.tracks(),
                          .firings = firings_,
                          .times = slot->times,
                          .decided = decided,
                          .decided_wall = frame.captured_wall + slot->times.total};
  for (Publisher* publisher : publishers_) publisher->Publish(view);

  Account(*slot, decided);
  slot->frame.Reset();
}

void Pipeline::Account(const Slot& slot, Nanos decided) {
  const StageNanos& times = slot.times;
  ledger_.CountLocal();
  frames_local_->Add();
  detections_->Add(slot.detections.size());
  firings_count_->Add(firings_.size());
  latency_seconds_->Observe(ToSeconds(times.total));
  infer_seconds_->Observe(ToSeconds(times.infer));
  queue_depth_->Set(static_cast<double>(queue_.size()));
  tracks_live_->Set(static_cast<double>(tracker_.tracks().size()));
  latencies_.total.Record(times.total);
  latencies_.queue.Record(times.queue);
  latencies_.preprocess.Record(times.preprocess);
  latencies_.infer.Record(times.infer);
  latencies_.decode.Record(times.decode);
  latencies_.order.Record(times.order);
  latencies_.track.Record(times.track);
  latencies_.decide.Record(times.decide);
  Nanos never = 0;
  first_decided_.compare_exchange_strong(never, decided);
  last_decided_.store(decided);
}

bool Pipeline::WaitUntilDone(Nanos timeout) {
  std::unique_lock lock(order_mutex_);
  return done_changed_.wait_for(lock, std::chrono::nanoseconds(timeout), [&] {
    return started_ && live_workers_ == 0 && (source_ended_ || stopping_.load());
  });
}

void Pipeline::Stop() {
  if (stopped_) return;
  stopped_ = true;
  stopping_.store(true);
  queue_.Close();  // first: a source that waits for room in OnFrame must come back to be stopped
  source_->Stop();
  for (Worker& worker : workers_) {
    if (worker.thread.joinable()) worker.thread.join();
  }
  // Nobody pushes or takes any more; what workers left behind is accounted for here.
  while (auto left = queue_.TryPop()) Drop(*std::move(left), DropReason::kShutdown);
}

Status Pipeline::status() const {
  const std::lock_guard lock(order_mutex_);
  return status_;
}

}  // namespace selvedge
