#pragma once

// EventPublisher: decided frames become events, events become JSON lines.
//
// One Event per rule that fired; with `every_frame`, one frame record (no rule) per decided frame
// as well, with all its detections. Called by the pipeline, one thread at a time; allocates nothing
// once its buffers have grown. Lines go to a file (EventLog, which never waits) and to the lists of
// recent events, messages to a sink (the agent's link), each only where given.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "device/pipeline/decided_frame.h"
#include "device/publish/event_log.h"
#include "device/publish/event_sink.h"
#include "device/publish/live_view.h"
#include "device/publish/recent_lines.h"

namespace selvedge {

struct EventPublisherOptions {
  std::string device;
  std::string pipeline;
  std::string source;  // secrets are masked before they go into an event
  std::string model_name;
  std::string model_version;
  std::string model_digest;  // "sha256:…"
  std::string model_variant;
  std::string engine;
  std::vector<std::string> labels;
  bool every_frame = false;
};

// Where events go; what is null is left out, what is given must outlive the publisher.
struct EventOutputs {
  EventLog* log = nullptr;
  LiveView* live_view = nullptr;  // rule events only
  RecentLines* recent = nullptr;  // rule events only
  EventSink* sink = nullptr;
};

class EventPublisher : public Publisher {
 public:
  EventPublisher(EventPublisherOptions options, EventOutputs outputs, MetricsRegistry* metrics,
                 const Clock& clock);
  ~EventPublisher() override;

  void Publish(const DecidedFrame& decided) override;
  std::uint64_t events() const;  // rule events so far; frame records are not counted

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Pictures and tracks to the live view.
class LiveViewPublisher : public Publisher {
 public:
  explicit LiveViewPublisher(LiveView* live_view) : live_view_(live_view) {}
  void Publish(const DecidedFrame& decided) override {
    live_view_->Show(decided.frame.image, decided.frame.captured, decided.tracks);
  }

 private:
  LiveView* const live_view_;
};

}  // namespace selvedge
