#include "device/capture/session.h"

#include <gst/video/video.h>

#include <chrono>
#include <cmath>
#include <thread>
#include <utility>

#include "base/log.h"
#include "device/capture/camera.h"
#include "device/capture/frame_pool.h"
#include "device/capture/gst_status.h"
#include "device/capture/gst_util.h"

namespace selvedge {
namespace {

// Buffers that a device's fixed pool should have beyond what the driver needs: those that our
// queues hold.
constexpr guint kExtraDeviceBuffers = 6;

std::string Fraction(double fps) {
  return std::to_string(std::lround(fps * 1000)) + "/1000";
}

}  // namespace

Session::Session(Parameters parameters, OnSample on_sample)
    : parameters_(std::move(parameters)),
      on_sample_(std::move(on_sample)),
      pipeline_(GST_ELEMENT(gst_object_ref_sink(gst_pipeline_new(nullptr)))),
      sink_(gst_element_factory_make("appsink", nullptr)),
      bus_(gst_element_get_bus(pipeline_)),
      autoplug_(
          GST_BIN(pipeline_), sink_, *parameters_.catalog, parameters_.uri,
          Autoplug::Options{std::max(1, parameters_.options.decoder_threads), parameters_.hardware},
          [this](Status status) { Fail(std::move(status)); }) {
  gst_bus_set_sync_handler(bus_, HandleMessage, nullptr, nullptr);
  if (sink_ != nullptr) gst_bin_add(GST_BIN(pipeline_), sink_);
}

Session::~Session() {
  gst_object_unref(bus_);
  gst_object_unref(pipeline_);
}

Status Session::Open() {
  // CLOCK_MONOTONIC, whatever clock a source would offer: capture times are in it.
  const GstOwn<GstClock> clock(gst_system_clock_obtain());
  gst_pipeline_use_clock(GST_PIPELINE(pipeline_), clock.get());
  SELVEDGE_RETURN_IF_ERROR(Build());
  if (gst_element_set_state(pipeline_, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE) {
    // The reason is on the bus.
    if (Wait(0) == Event::kError) return error_;
    return InternalError("the pipeline of " + parameters_.uri.shown + " does not start (" +
                         Describe() + "); report this as a bug");
  }
  return OkStatus();
}

GstElement* Session::Add(const char* factory, const std::string& note) {
  GstElement* element = gst_element_factory_make(factory, nullptr);
  if (element == nullptr) return nullptr;
  gst_bin_add(GST_BIN(pipeline_), element);
  autoplug_.Note(note.empty() ? factory : std::string(factory) + " " + note);
  return element;
}

Status Session::Build() {
  if (sink_ == nullptr) {
    return UnimplementedError("GStreamer's appsink is missing; install gstreamer1.0-plugins-base");
  }
  const GstOwn<GstCaps> caps(gst_caps_from_string(kRawCaps));
  g_object_set(sink_, "caps", caps.get(), "sync", FALSE, "async", FALSE, "enable-last-sample",
               FALSE, "max-buffers", 1, nullptr);
  GstAppSinkCallbacks callbacks = {};
  callbacks.new_sample = HandleSample;
  callbacks.eos = HandleEnd;
  gst_app_sink_set_callbacks(GST_APP_SINK(sink_), &callbacks, this, nullptr);
  const GstOwn<GstPad> pad(gst_element_get_static_pad(sink_, "sink"));
  gst_pad_add_probe(pad.get(), GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, HandleQuery, this, nullptr);
  switch (parameters_.uri.kind) {
    case SourceKind::kPath: {
      GstElement* file = Add("filesrc", "location=" + parameters_.uri.shown);
      if (file != nullptr)
        g_object_set(file, "location", parameters_.uri.location.c_str(), nullptr);
      return BuildBytes(file);
    }
    case SourceKind::kRtsp: return BuildRtsp();
    case SourceKind::kHttpLive:
    case SourceKind::kHttpFile: return BuildHttp();
    case SourceKind::kCamera: return BuildCamera();
    case SourceKind::kTest: return BuildTest();
  }
  return InternalError("unknown kind of source");
}

Status Session::BuildBytes(GstElement* head) {
  GstElement* typefind = gst_element_factory_make("typefind", nullptr);
  if (head == nullptr || typefind == nullptr) {
    return UnimplementedError(
        "a basic GStreamer element is missing; install gstreamer1.0-plugins-base");
  }
  gst_bin_add(GST_BIN(pipeline_), typefind);
  g_signal_connect(typefind, "have-type", G_CALLBACK(HandleType), this);
  gst_element_link(head, typefind);
  return OkStatus();
}

Status Session::BuildRtsp() {
  const SourceOptions& options = parameters_.options;
  const bool udp = options.transport == "udp";
  GstElement* source =
      Add("rtspsrc", "location=" + parameters_.uri.shown + " protocols=" + options.transport +
                         " latency=" + std::to_string(options.latency_ms));
  if (source == nullptr) {
    return UnimplementedError("RTSP needs GStreamer's rtspsrc; install gstreamer1.0-plugins-good");
  }
  g_object_set(source, "location", parameters_.uri.location.c_str(), "latency",
               static_cast<guint>(std::max(0, options.latency_ms)), "tcp-timeout",
               static_cast<guint64>(options.timeout / kMicrosecond), "timeout",
               static_cast<guint64>(options.timeout / kMicrosecond), nullptr);
  gst_util_set_object_arg(G_OBJECT(source), "protocols", udp ? "udp+udp-mcast" : "tcp");
  if (!parameters_.user.empty()) g_object_set(source, "user-id", parameters_.user.c_str(), nullptr);
  if (!parameters_.password.empty())
    g_object_set(source, "user-pw", parameters_.password.c_str(), nullptr);
  g_signal_connect(source, "select-stream", G_CALLBACK(HandleStream), this);
  autoplug_.WatchPads(source, false);
  return OkStatus();
}

Status Session::BuildHttp() {
  const bool live = parameters_.uri.kind == SourceKind::kHttpLive;
  GstElement* source = nullptr;
  const char* password = "user-pw";
  if (parameters_.catalog->Has("souphttpsrc")) {
    source = Add("souphttpsrc", "location=" + parameters_.uri.shown);
  } else if (parameters_.catalog->Has("curlhttpsrc")) {
    source = Add("curlhttpsrc", "location=" + parameters_.uri.shown);
    password = "user-passwd";
  }
  if (source == nullptr) {
    return UnimplementedError(
        "HTTP needs GStreamer's souphttpsrc; install gstreamer1.0-plugins-good");
  }
  g_object_set(source, "location", parameters_.uri.location.c_str(), nullptr);
  const auto seconds = std::max<Nanos>(1, (parameters_.options.timeout + kSecond - 1) / kSecond);
  SetIfPresent(source, "timeout", std::to_string(seconds));
  SetIfPresent(source, "retries", "0");  // we have our own
  SetIfPresent(source, "iradio-mode", "false");
  if (live) {
    SetIfPresent(source, "is-live", "true");
    SetIfPresent(source, "do-timestamp", "true");
  }
  if (!parameters_.user.empty()) g_object_set(source, "user-id", parameters_.user.c_str(), nullptr);
  if (!parameters_.password.empty())
    g_object_set(source, password, parameters_.password.c_str(), nullptr);
  return BuildBytes(source);
}

Status Session::BuildCamera() {
  const SourceOptions& options = parameters_.options;
  const std::string& device = parameters_.uri.location;
  auto facts = QueryCamera(device, options.width, options.height);
  if (!facts) return std::move(facts).error();
  auto mode = ChooseCameraMode(*facts, device, options.width, options.height, options.fps);
  if (!mode) return std::move(mode).error();
  const std::string text = CameraCaps(*mode, options.fps);
  GstElement* source = Add("v4l2src", "device=" + device);
  GstElement* filter = Add("capsfilter", "caps=\"" + text + "\"");
  if (source == nullptr || filter == nullptr) {
    return UnimplementedError(
        "cameras need GStreamer's v4l2src; install gstreamer1.0-plugins-good");
  }
  const GstOwn<GstCaps> caps(gst_caps_from_string(text.c_str()));
  g_object_set(source, "device", device.c_str(), nullptr);
  g_object_set(filter, "caps", caps.get(), nullptr);
  gst_element_link(source, filter);
  const GstOwn<GstPad> pad(gst_element_get_static_pad(filter, "src"));
  autoplug_.Extend(pad.get(), caps.get(), mode->format != CameraFormat::kH264);
  const std::lock_guard lock(mutex_);
  return failure_.value_or(OkStatus());
}

Status Session::BuildTest() {
  const TestPattern& test = parameters_.uri.test;
  const std::string text = "video/x-raw, format=(string)I420, width=(int)" +
                           std::to_string(test.width) + ", height=(int)" +
                           std::to_string(test.height) + ", framerate=(fraction)" +
                           Fraction(test.fps);
  GstElement* source = Add("videotestsrc", "pattern=smpte75 horizontal-speed=4");
  GstElement* filter = Add("capsfilter", "caps=\"" + text + "\"");
  if (source == nullptr || filter == nullptr) {
    return UnimplementedError(
        "test:// needs GStreamer's videotestsrc; install gstreamer1.0-plugins-base");
  }
  // Moves, and costs a fifth of what the bouncing ball does.
  gst_util_set_object_arg(G_OBJECT(source), "pattern", "smpte75");
  SetIfPresent(source, "horizontal-speed", "4");
  SetIfPresent(source, "animation-mode", "frames");
  if (test.frames > 0) g_object_set(source, "num-buffers", test.frames, nullptr);
  const GstOwn<GstCaps> caps(gst_caps_from_string(text.c_str()));
  g_object_set(filter, "caps", caps.get(), nullptr);
  gst_element_link(source, filter);
  const GstOwn<GstPad> pad(gst_element_get_static_pad(filter, "src"));
  autoplug_.Extend(pad.get(), caps.get(), true);
  return OkStatus();
}

void Session::Fail(Status status) {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(status);
  }
  Interrupt();
}

void Session::Interrupt() {
  gst_bus_post(bus_,
               gst_message_new_application(nullptr, gst_structure_new_empty("selvedge-wake")));
}

Session::Event Session::Wait(Nanos timeout) {
  const GstOwn<GstMessage> message(gst_bus_timed_pop_filtered(
      bus_, timeout < 0 ? GST_CLOCK_TIME_NONE : static_cast<GstClockTime>(timeout),
      static_cast<GstMessageType>(GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_APPLICATION)));
  {
    const std::lock_guard lock(mutex_);
    // Ours knows better than the error that GStreamer makes of it ("not-linked").
    if (failure_) {
      error_ = *failure_;
      return Event::kError;
    }
  }
  if (message == nullptr) return Event::kNone;
  switch (GST_MESSAGE_TYPE(message.get())) {
    case GST_MESSAGE_EOS: return Event::kEnd;
    case GST_MESSAGE_ERROR: {
      GError* raw_error = nullptr;
      gchar* raw_debug = nullptr;
      gst_message_parse_error(message.get(), &raw_error, &raw_debug);
      const GstOwn<GError> error(raw_error);
      const GstOwn<gchar> debug(raw_debug);
      error_ = autoplug_.ExplainNoVideo();
      if (error_.ok()) error_ = StatusFromGst(*error, debug.get(), parameters_.uri, began_.load());
      return Event::kError;
    }
    default: return Event::kNone;
  }
}

bool Session::Close(Nanos limit) {
  abandoned_.store(true);
  std::thread closer([self = shared_from_this()] {
    gst_element_set_state(self->pipeline_, GST_STATE_NULL);
    {
      const std::lock_guard lock(self->mutex_);
      self->is_closed_ = true;
    }
    self->closed_.notify_all();
  });
  std::unique_lock lock(mutex_);
  const bool closed =
      closed_.wait_for(lock, std::chrono::nanoseconds(limit), [this] { return is_closed_; });
  lock.unlock();
  if (closed) {
    closer.join();
  } else {
    closer.detach();
  }
  return closed;
}

std::string Session::Describe() const {
  return autoplug_.Description();
}

bool Session::UsesHardware() const {
  return autoplug_.UsesHardware();
}

Nanos Session::Duration() const {
  gint64 duration = 0;
  if (!gst_element_query_duration(pipeline_, GST_FORMAT_TIME, &duration)) return 0;
  return std::max<Nanos>(duration, 0);
}

Nanos Session::BaseTime() const {
  return static_cast<Nanos>(gst_element_get_base_time(sink_));
}

GstFlowReturn Session::HandleSample(GstAppSink* sink, gpointer data) {
  auto* self = static_cast<Session*>(data);
  const GstOwn<GstSample> sample(gst_app_sink_pull_sample(sink));
  self->began_.store(true, std::memory_order_relaxed);
  if (sample == nullptr || self->abandoned_.load(std::memory_order_relaxed))
    return GST_FLOW_FLUSHING;
  return self->on_sample_(*self, sample.get()) ? GST_FLOW_OK : GST_FLOW_FLUSHING;
}

void Session::HandleEnd(GstAppSink*, gpointer data) {
  auto* self = static_cast<Session*>(data);
  if (!self->abandoned_.load(std::memory_order_relaxed)) self->on_sample_(*self, nullptr);
}

GstBusSyncReply Session::HandleMessage(GstBus*, GstMessage* message, gpointer) {
  switch (GST_MESSAGE_TYPE(message)) {
    case GST_MESSAGE_EOS:
    case GST_MESSAGE_ERROR:
    case GST_MESSAGE_APPLICATION: return GST_BUS_PASS;
    case GST_MESSAGE_STREAM_STATUS: {
      GstStreamStatusType type = GST_STREAM_STATUS_TYPE_CREATE;
      gst_message_parse_stream_status(message, &type, nullptr);
      // A new streaming thread, from a pool: what an earlier stream left on it is not ours.
      if (type == GST_STREAM_STATUS_TYPE_ENTER) TakeDecoderErrors();
      break;
    }
    default: break;
  }
  gst_message_unref(message);
  return GST_BUS_DROP;
}

void Session::HandleType(GstElement* typefind, guint, GstCaps* caps, gpointer data) {
  const GstOwn<GstPad> pad(gst_element_get_static_pad(typefind, "src"));
  auto* self = static_cast<Session*>(data);
  self->began_.store(true);
  self->autoplug_.Extend(pad.get(), caps, false);
}

gboolean Session::HandleStream(GstElement*, guint, GstCaps* caps, gpointer) {
  // Sound is not even asked for.
  const gchar* media = gst_structure_get_string(gst_caps_get_structure(caps, 0), "media");
  return media == nullptr || std::string_view(media) == "video";
}

GstPadProbeReturn Session::HandleQuery(GstPad*, GstPadProbeInfo* info, gpointer data) {
  GstQuery* query = GST_PAD_PROBE_INFO_QUERY(info);
  if (GST_QUERY_TYPE(query) != GST_QUERY_ALLOCATION) return GST_PAD_PROBE_OK;
  // With this a decoder writes into buffers of its own strides and padding, and nothing is copied.
  gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, nullptr);
  const auto* self = static_cast<Session*>(data);
  if (self->UsesHardware() || self->parameters_.uri.kind == SourceKind::kCamera) {
    GstCaps* caps = nullptr;
    gst_query_parse_allocation(query, &caps, nullptr);
    if (const auto raw = ParseRawFormat(caps)) {
      gst_query_add_allocation_pool(query, nullptr,
                                    static_cast<guint>(GST_VIDEO_INFO_SIZE(&raw->info)),
                                    kExtraDeviceBuffers, 0);
    }
  }
  return GST_PAD_PROBE_HANDLED;
}

}  // namespace selvedge
