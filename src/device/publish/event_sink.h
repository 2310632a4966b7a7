#pragma once

// Who takes events as messages, beside the event log and the live view that take them as lines.

namespace selvedge {

namespace v1 {
class Event;
}

class EventSink {
 public:
  virtual ~EventSink() = default;
  // By the decision thread, one call at a time. Must not wait and must not allocate once warm; what
  // cannot be taken is counted by the sink. The event is lent for the call.
  virtual void Offer(const v1::Event& event) = 0;
};

}  // namespace selvedge
