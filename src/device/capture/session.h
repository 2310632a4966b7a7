#pragma once

// Session: one attempt at a source: a GStreamer pipeline from opening to closing.
//
// Made, opened, awaited and closed by one supervisor thread. Samples arrive on a streaming thread
// of GStreamer. Shared ownership, so that a pipeline which hangs while closing (a dead network file
// system, a driver) can be left behind without taking anybody with it.

#include <gst/app/gstappsink.h>
#include <gst/gst.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/status.h"
#include "device/capture/autoplug.h"
#include "device/capture/catalog.h"
#include "device/capture/source.h"
#include "device/capture/uri.h"

namespace selvedge {

class Session : public std::enable_shared_from_this<Session> {
 public:
  struct Parameters {
    SourceOptions options;
    SourceUri uri;
    std::string user;
    std::string password;
    bool hardware = true;
    const ElementCatalog* catalog = nullptr;
  };
  // Called with each picture on a streaming thread, and with null at the end of the stream; false
  // stops it. Not called once Close has begun.
  using OnSample = std::function<bool(Session&, GstSample*)>;

  enum class Event { kNone, kEnd, kError };

  Session(Parameters parameters, OnSample on_sample);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Builds the pipeline and starts it. Connecting and decoding go on in the background.
  Status Open();
  // Waits at most `timeout` for the end of the stream, an error (then error() has it), or
  // Interrupt.
  Event Wait(Nanos timeout);
  const Status& error() const { return error_; }
  // Wakes Wait; any thread.
  void Interrupt();
  // Stops the pipeline; false where it did not stop within `limit` and was left behind.
  bool Close(Nanos limit);

  std::string Describe() const;
  bool UsesHardware() const;
  // Of the whole stream, nanoseconds; 0 where unknown.
  Nanos Duration() const;
  // GStreamer's clock time at running time 0 (CLOCK_MONOTONIC).
  Nanos BaseTime() const;

 private:
  Status Build();
  Status BuildBytes(GstElement* head);
  Status BuildRtsp();
  Status BuildHttp();
  Status BuildCamera();
  Status BuildTest();
  GstElement* Add(const char* factory, const std::string& note);
  void Fail(Status status);

  static GstFlowReturn HandleSample(GstAppSink* sink, gpointer self);
  static void HandleEnd(GstAppSink* sink, gpointer self);
  static GstBusSyncReply HandleMessage(GstBus* bus, GstMessage* message, gpointer self);
  static void HandleType(GstElement* typefind, guint probability, GstCaps* caps, gpointer self);
  static gboolean HandleStream(GstElement* rtspsrc, guint number, GstCaps* caps, gpointer self);
  static GstPadProbeReturn HandleQuery(GstPad* pad, GstPadProbeInfo* info, gpointer self);

  const Parameters parameters_;
  const OnSample on_sample_;
  GstElement* const pipeline_;
  GstElement* const sink_;  // the pipeline's
  GstBus* const bus_;
  Autoplug autoplug_;
  std::atomic<bool> abandoned_{false};
  std::atomic<bool> began_{false};  // the content's type is known
  Status error_;                    // the supervisor's

  mutable std::mutex mutex_;
  std::condition_variable closed_;
  bool is_closed_ = false;
  std::optional<Status> failure_;  // found by our own code on a streaming thread
};

}  // namespace selvedge
