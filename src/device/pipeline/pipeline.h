#pragma once

// Pipeline: capture -> [queue] -> preprocess, infer, decode boxes -> (in order) track, decide ->
// publishers.
//
// Threads: the source's own threads push frames into one bounded queue and never wait there when
// live. N workers each take the oldest frame, preprocess it straight into their engine's input
// tensor, run the engine and decode boxes: so capture of the next frame and inference of several
// overlap. Results are put back into capture order and tracked, decided and published by whichever
// worker completes the sequence: no further thread, no hand-over, one lock held for a few
// instructions. Memory: everything is taken in Create; a frame on its way allocates nothing of
// ours. Ledger: each frame handed over by the source is counted in once, and ends as local or
// dropped{reason} exactly once. Failure: a frame whose inference fails is dropped{error};
// `max_consecutive_errors` of them in a row end the pipeline with the last error. Nothing here ever
// waits for a network or a disk.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "base/clock.h"
#include "base/latency_histogram.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/status.h"
#include "core/ledger.h"
#include "core/model_card.h"
#include "device/capture/source.h"
#include "device/decide/rules.h"
#include "device/pipeline/decided_frame.h"
#include "engine/engine.h"
#include "vision/decoder.h"
#include "vision/preprocess.h"
#include "vision/tracker.h"

namespace selvedge {

struct PipelineOptions {
  std::string name = "pipeline";
  int workers = 1;  // frames in inference at the same time
  std::size_t queue_capacity = 2;
  DropPolicy queue_policy = DropPolicy::kDropOldest;
  Nanos max_age =
      0;  // a frame older than this when its turn comes is dropped{stale}; 0 for no limit
  int max_consecutive_errors = 10;
  // Detections scored below this are used by nobody: not by tracker, rules or events.
  float confidence_threshold = 0;
};

// Percentiles since the start, per stage and from capture to decision.
struct PipelineLatencies {
  LatencyHistogram total;
  LatencyHistogram queue;
  LatencyHistogram preprocess;
  LatencyHistogram infer;
  LatencyHistogram decode;
  LatencyHistogram order;
  LatencyHistogram track;
  LatencyHistogram decide;
};

class Pipeline {
 public:
  // `source`, `engine`, `publishers` and `metrics` must outlive the pipeline. Checks the card
  // against the engine's inputs and outputs (a disagreement is InvalidArgument) and runs the engine
  // a few times on an empty picture.
  static Result<std::unique_ptr<Pipeline>> Create(const PipelineOptions& options, Source* source,
                                                  Engine* engine, const ModelCard& card,
                                                  const TrackerOptions& tracker, RuleSet rules,
                                                  std::vector<Publisher*> publishers,
                                                  MetricsRegistry* metrics, const Clock& clock);
  ~Pipeline();  // stops
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // Starts the workers and the source. Once.
  Status Start();
  // Waits until the source ended and every frame is accounted for, or `timeout` passed (false).
  bool WaitUntilDone(Nanos timeout);
  // Ends capture, drops what is queued (dropped{shutdown}), lets what is in inference finish. By
  // the owner's thread; the second call does nothing, and the source may be gone by then.
  void Stop();
  // OK, or why the pipeline ended by itself. Meaningful once done.
  Status status() const;

  Ledger::Snapshot ReadLedger() const { return ledger_.Read(); }
  const PipelineLatencies& latencies() const { return latencies_; }
  std::size_t queued() const { return queue_.size(); }
  std::uint64_t detections() const { return detections_->value(); }
  // Wall time of the first and the last decided frame so far, monotonic; 0 before the first.
  Nanos first_decided() const { return first_decided_.load(); }
  Nanos last_decided() const { return last_decided_.load(); }

 private:
  // One frame between a worker and the ordered part.
  struct Slot {
    Frame frame;
    Detections detections;
    StageNanos times;
    Nanos finished = 0;  // when the worker put it here
    bool ready = false;
    bool failed = false;
  };
  struct Worker {
    std::unique_ptr<Execution> execution;
    std::optional<Preprocessor> preprocessor;
    std::unique_ptr<Decoder> decoder;
    std::thread thread;
  };

  Pipeline(const PipelineOptions& options, Source* source, const TrackerOptions& tracker,
           RuleSet rules, std::vector<Publisher*> publishers, MetricsRegistry* metrics,
           const Clock& clock);
  Status AddWorkers(Engine* engine, const ModelCard& card);
  void AddMetrics(MetricsRegistry* metrics);
  Status WarmUp();
  void OnFrame(Frame frame);
  void OnEnd(Status status);
  void Drop(Frame frame, DropReason reason);
  void Work(Worker* worker);
  std::optional<std::uint64_t> Take(Frame* frame);
  Status Infer(Worker* worker, Slot* slot);
  void Finish(std::uint64_t ticket, bool failed);
  void Emit(Slot* slot);
  void Account(const Slot& slot, Nanos decided);
  bool PictureFitsRules(const ImageView& image);
  void NoteError(const Status& status);
  void EndWith(Status status);
  Slot& SlotOf(std::uint64_t ticket) { return slots_[ticket % slots_.size()]; }

  const PipelineOptions options_;
  Source* const source_;
  const Clock& clock_;
  std::vector<Publisher*> publishers_;
  BoundedQueue<Frame> queue_;
  std::vector<Worker> workers_;

  std::mutex take_mutex_;  // whoever holds it takes the next frame and its ticket
  std::uint64_t next_ticket_ = 0;

  mutable std::mutex order_mutex_;
  std::condition_variable slot_free_;
  std::condition_variable done_changed_;
  std::vector<Slot> slots_;  // ring, by ticket
  std::uint64_t next_emit_ = 0;
  bool emitting_ = false;
  int live_workers_ = 0;
  bool source_ended_ = false;
  Status status_;

  // Used by whoever emits, one at a time.
  Tracker tracker_;
  RuleSet rules_;
  std::vector<RuleFiring> firings_;
  int picture_width_ = 0;  // the last one that was checked against the rules
  int picture_height_ = 0;

  std::atomic<bool> stopping_{false};
  bool started_ = false;
  bool stopped_ = false;
  std::atomic<int> consecutive_errors_{0};
  log::RateLimited error_log_{kSecond};
  Ledger ledger_;
  PipelineLatencies latencies_;
  std::atomic<Nanos> first_decided_{0};
  std::atomic<Nanos> last_decided_{0};
  Counter* frames_in_ = nullptr;
  Counter* frames_local_ = nullptr;
  std::array<Counter*, kDropReasonCount> frames_dropped_ = {};
  Counter* detections_ = nullptr;
  Counter* firings_count_ = nullptr;
  Histogram* latency_seconds_ = nullptr;
  Histogram* infer_seconds_ = nullptr;
  Gauge* queue_depth_ = nullptr;
  Gauge* tracks_live_ = nullptr;
};

}  // namespace selvedge
