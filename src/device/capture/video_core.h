#pragma once

// VideoSource::Core: what the supervisor and the streaming thread of a VideoSource share. Internal.

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/backoff.h"
#include "device/capture/catalog.h"
#include "device/capture/delivery.h"
#include "device/capture/frame_pool.h"
#include "device/capture/gst_util.h"
#include "device/capture/pacer.h"
#include "device/capture/session.h"
#include "device/capture/source.h"
#include "device/capture/uri.h"
#include "device/capture/video_source.h"

namespace selvedge {

class VideoSource::Core : public std::enable_shared_from_this<VideoSource::Core> {
 public:
  Core(SourceOptions options, SourceUri uri, const Clock& clock, const ElementCatalog& catalog);

  bool live() const { return live_; }
  bool fail_fast() const { return options_.fail_fast; }
  Delivery& delivery() { return delivery_; }
  const Delivery& delivery() const { return delivery_; }

  // The supervisor's whole life.
  void Run();
  // Blocks until the first picture, a failure (returned), or Stop (Cancelled).
  Status AwaitStart();
  // Wakes the supervisor after delivery().BeginStop().
  void Wake();
  // False where the supervisor did not finish within `limit`.
  bool AwaitFinish(Nanos limit);

  std::string Describe() const;
  std::uint64_t ExpectedFrames() const { return expected_.load(std::memory_order_relaxed); }

 private:
  enum class Next { kAgain, kDone };

  // Supervisor.
  Status ReadCredentials(Session::Parameters* parameters) const;
  std::shared_ptr<Session> MakeSession();
  // Watches until the session is over: OK at its end.
  Status Watch(Session& session);
  Next AfterEnd();
  Next AfterError(const Status& error, bool used_hardware);
  Next Reconnect(const Status& error);
  Next Finish(Status status);
  void NoteOpened(Session& session);
  void WarnIfCutOff() const;
  void CloseSession(Session& session);

  // Streaming thread.
  bool OnSample(Session& session, GstSample* sample);
  bool UpdateFormat(GstSample* sample);
  void SignalOpened();
  std::optional<Nanos> PresentationTime(GstSample* sample, GstBuffer* buffer) const;
  // Frame::captured and Frame::scene_time of a picture; nothing where it is not wanted.
  struct Times {
    Nanos captured;
    Nanos scene;
  };
  std::optional<Times> FrameTimes(Session& session, std::optional<Nanos> pts, Nanos now);

  const SourceOptions options_;
  const SourceUri uri_;
  const ElementCatalog& catalog_;
  const bool live_;
  Delivery delivery_;

  // Supervisor's own.
  Backoff backoff_;
  bool hardware_;
  bool connected_once_ = false;
  bool lost_ = false;  // had been connected, is not now
  Nanos lost_since_ = 0;
  std::string last_error_;
  std::uint64_t frames_before_ = 0;  // delivered before this session

  // Streaming thread's own; sessions follow one another, never overlap.
  FramePool pool_;
  MediaTimeline timeline_;
  Pacer pacer_;
  RateLimit limit_;
  GstOwn<GstCaps> caps_;
  std::optional<RawFormat> format_;
  Nanos step_ = 0;  // nominal distance of frames
  Nanos base_time_ = -1;

  std::atomic<bool> opened_{false};  // this session has delivered a picture
  std::atomic<Nanos> last_frame_{0};
  std::atomic<Nanos> nominal_step_{0};
  std::atomic<std::uint64_t> expected_{0};

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<Session> session_;
  std::string description_;
  std::optional<Status> started_;  // the answer to Start
  bool noted_ = false;             // the first session's facts are known
  bool finished_ = false;
};

}  // namespace selvedge
