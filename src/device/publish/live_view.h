#pragma once

// LiveView: the annotated picture and the page around it, for a browser.
//
// Local-only unless switched on: with `enabled` and `for_agent` false, AddRoutes adds nothing, no
// thread runs and Show returns at once. This class is the only way for pictures and event lines to
// HTTP, so this is where privacy is kept (live_view_test.cc).
//
// Cost: with nobody watching, Show is two atomic loads. With watchers it makes, at most `fps` times
// a second, one plain copy of the picture and of the boxes into memory kept for it; scaling,
// drawing, JPEG encoding and sending are done by a thread of the view's own at low priority. A
// picture that comes while the last one is still being worked on is skipped.
//
// Threads: Show and OfferEvent by the decision thread (one at a time, they never wait); the rest by
// the owner.
//
// Failure: a picture that cannot be copied or encoded is skipped, counted and logged, rate limited.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "core/detection.h"
#include "core/frame.h"
#include "net/http_server.h"
#include "vision/annotate.h"

namespace selvedge {

struct LiveViewOptions {
  bool enabled = false;
  // One picture at a time for the agent of this machine, which hands it on to the control plane:
  // /snapshot.jpg answers who asks from a loopback address, also where `enabled` is false.
  bool for_agent = false;
  double fps = 10;                  // at most; 0.1 to 60
  int max_width = 960;              // pixels; wider pictures are scaled down, 160 to 3840
  int jpeg_quality = 80;            // 1 to 100
  std::vector<std::string> labels;  // by class id
  std::vector<Overlay> overlays;    // zones and lines, drawn in every picture; at most 64
};

// Whether an HttpRequest::remote ("127.0.0.1:40312") is a process of this machine.
bool IsOfThisMachine(std::string_view remote);

class LiveView {
 public:
  // InvalidArgument for an option out of range. `clock` must outlive the view.
  static Result<std::unique_ptr<LiveView>> Create(LiveViewOptions options,
                                                  const Clock& clock = Clock::System());
  ~LiveView();  // stops
  LiveView(const LiveView&) = delete;
  LiveView& operator=(const LiveView&) = delete;

  // Adds /, /live.mjpg, /snapshot.jpg and /api/events; where not enabled nothing, or what
  // `for_agent` says. Before server->Start(). The view may be destroyed before or after the server:
  // routes keep what they need.
  void AddRoutes(HttpServer* server);

  // Whether somebody waits for a picture: what Show checks first.
  bool Wanted() const;
  // `image` and `tracks` are copied where wanted and due, and not used after the call. Bit i of
  // `active` is set while a rule on overlay i holds.
  void Show(const ImageView& image, Nanos captured, std::span<const Track> tracks,
            std::uint64_t active = 0);
  // A line of JSON for "recent events".
  void OfferEvent(std::string_view json_line);

  // After the last Show. Ends streams and the thread. Idempotent.
  void Stop();

  struct Counts {
    std::uint64_t shown = 0;    // encoded and handed to the streams
    std::uint64_t skipped = 0;  // due, but the last one was still in work
    std::uint64_t failed = 0;
  };
  Counts counts() const;

 private:
  struct State;
  explicit LiveView(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace selvedge
