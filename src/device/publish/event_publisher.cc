#include "device/publish/event_publisher.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "core/event_id.h"
#include "core/event_json.h"
#include "proto/event.pb.h"

namespace selvedge {
namespace {

std::uint32_t Micros(Nanos t) {
  return static_cast<std::uint32_t>(std::clamp<Nanos>(t / kMicrosecond, 0, UINT32_MAX));
}

void Assign(std::string* field, std::string_view text) {
  field->assign(text);
}

}  // namespace

struct EventPublisher::State {
  State(EventPublisherOptions given, EventOutputs given_outputs, MetricsRegistry* metrics,
        const Clock& clock)
      : options(std::move(given)),
        outputs(given_outputs),
        ids(clock, EventIdGenerator::RandomSeed()),
        written(metrics->AddCounter("selvedge_pipeline_events", "Rule events published.",
                                    {{"pipeline", options.pipeline}})) {
    event.set_device(options.device);
    event.set_pipeline(options.pipeline);
    event.set_source(log::MaskSecrets(options.source));
    v1::ModelRef* model = event.mutable_model();
    model->set_name(options.model_name);
    model->set_version(options.model_version);
    model->set_digest(options.model_digest);
    model->set_variant(options.model_variant);
    model->set_engine(options.engine);
    event.set_provenance(v1::LOCAL);
    line.reserve(16 * 1024);
  }

  // What every event of this frame has in common.
  void FillFrame(const DecidedFrame& decided) {
    const Frame& frame = decided.frame;
    event.set_captured_unix_ns(frame.captured_wall);
    event.set_decided_unix_ns(decided.decided_wall);
    event.set_frame(frame.sequence);
    event.set_width(frame.image.width);
    event.set_height(frame.image.height);
    event.clear_detections();  // keeps the messages for reuse
    for (const Detection& detection : decided.detections) {
      v1::DetectionRecord* record = event.add_detections();
      const auto id = static_cast<std::size_t>(detection.class_id);
      Assign(record->mutable_label(), id < options.labels.size()
                                          ? std::string_view(options.labels[id])
                                          : std::string_view());
      record->set_class_id(detection.class_id);
      record->set_score(detection.score);
      record->set_track(std::max<std::int64_t>(detection.track_id, 0));
      v1::Box* box = record->mutable_box();
      box->set_x1(detection.box.x1);
      box->set_y1(detection.box.y1);
      box->set_x2(detection.box.x2);
      box->set_y2(detection.box.y2);
    }
    const StageNanos& times = decided.times;
    v1::StageTimes* out = event.mutable_times();
    out->set_queue_us(Micros(times.queue));
    out->set_preprocess_us(Micros(times.preprocess));
    out->set_infer_us(Micros(times.infer));
    out->set_decode_us(Micros(times.decode));
    out->set_order_us(Micros(times.order));
    out->set_track_us(Micros(times.track));
    out->set_decide_us(Micros(times.decide));
    out->set_total_us(Micros(times.total));
  }

  void FillDecision(const RuleFiring& firing) {
    v1::Decision* decision = event.mutable_decision();
    Assign(decision->mutable_rule(), firing.rule);
    Assign(decision->mutable_kind(), firing.kind);
    Assign(decision->mutable_state(), firing.state);
    Assign(decision->mutable_zone(), firing.zone);
    Assign(decision->mutable_direction(), firing.direction);
    decision->set_track(firing.track);
    decision->set_value(firing.value);
    decision->set_threshold(firing.threshold);
  }

  void Write(bool recent) {
    Assign(event.mutable_id(), ids.Next().text());
    if (outputs.sink != nullptr) outputs.sink->Offer(event);
    const bool listed = recent && (outputs.live_view != nullptr || outputs.recent != nullptr);
    if (outputs.log == nullptr && !listed) return;
    line.clear();
    AppendEventLine(event, &line);
    std::string_view text = line;
    if (text.ends_with('\n')) text.remove_suffix(1);
    if (outputs.log != nullptr) (void)outputs.log->Offer(text);  // what is lost is counted there
    if (recent && outputs.live_view != nullptr) outputs.live_view->OfferEvent(text);
    if (recent && outputs.recent != nullptr) outputs.recent->Add(text);
  }

  const EventPublisherOptions options;
  const EventOutputs outputs;
  EventIdGenerator ids;
  Counter& written;
  v1::Event event;
  std::string line;
};

EventPublisher::EventPublisher(EventPublisherOptions options, EventOutputs outputs,
                               MetricsRegistry* metrics, const Clock& clock)
    : state_(std::make_unique<State>(std::move(options), outputs, metrics, clock)) {}

EventPublisher::~EventPublisher() = default;

void EventPublisher::Publish(const DecidedFrame& decided) {
  State& state = *state_;
  const bool record =
      state.options.every_frame && (state.outputs.log != nullptr || state.outputs.sink != nullptr);
  if (decided.firings.empty() && !record) return;
  state.FillFrame(decided);
  if (record) {
    state.event.clear_decision();
    state.Write(false);
  }
  for (const RuleFiring& firing : decided.firings) {
    state.FillDecision(firing);
    state.Write(true);
    state.written.Add();
  }
}

std::uint64_t EventPublisher::events() const {
  return state_->written.value();
}

}  // namespace selvedge
