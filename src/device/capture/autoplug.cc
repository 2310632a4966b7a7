#include "device/capture/autoplug.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "device/capture/frame_pool.h"
#include "device/capture/gst_status.h"
#include "device/capture/gst_util.h"

namespace selvedge {
namespace {

constexpr char kFramedKey[] = "selvedge-framed";

std::string_view MediaOf(const GstCaps* caps) {
  if (caps == nullptr || gst_caps_get_size(caps) == 0) return "";
  return gst_structure_get_name(gst_caps_get_structure(caps, 0));
}

bool IsVideoMedia(std::string_view media) {
  return media.starts_with("video/") || media.starts_with("image/");
}

// Containers that store whole frames with their codec's headers beside them.
bool IsFramedContainer(std::string_view demuxer) {
  static constexpr std::array kFramed = {"qtdemux",  "matroskademux",  "avidemux", "flvdemux",
                                         "asfdemux", "multipartdemux", "oggdemux"};
  return std::ranges::find(kFramed, demuxer) != kFramed.end();
}

// The best-ranked factory of a kind whose sink takes some form of `caps`; empty where there is
// none.
std::string BestFactory(GstElementFactoryListType kind, const GstCaps* caps) {
  GList* all = gst_element_factory_list_get_elements(kind, GST_RANK_MARGINAL);
  GList* fitting = gst_element_factory_list_filter(all, caps, GST_PAD_SINK, FALSE);
  fitting = g_list_sort(fitting, gst_plugin_feature_rank_compare_func);
  std::string name;
  if (fitting != nullptr) name = GST_OBJECT_NAME(fitting->data);
  gst_plugin_feature_list_free(fitting);
  gst_plugin_feature_list_free(all);
  return name;
}

// The one of our formats that a videoconvert should make of `caps`; null where that cannot be said.
GstOwn<GstCaps> NearestRawCaps(const GstCaps* caps) {
  GstVideoInfo info;
  if (caps == nullptr || !gst_video_info_from_caps(&info, caps)) return nullptr;
  const char* format = GST_VIDEO_INFO_IS_YUV(&info)    ? "I420"
                       : GST_VIDEO_INFO_IS_GRAY(&info) ? "GRAY8"
                                                       : "RGB";
  return GstOwn<GstCaps>(
      gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, format, nullptr));
}

// What a depayloader puts out, as the first entry of its source pad's template.
std::string OutputCaps(GstElement* element) {
  const GstOwn<GstPad> pad(gst_element_get_static_pad(element, "src"));
  if (pad == nullptr) return "";
  const GstOwn<GstCaps> caps(gst_pad_get_pad_template_caps(pad.get()));
  if (gst_caps_is_any(caps.get()) || gst_caps_get_size(caps.get()) == 0) return "";
  const GstOwn<GstCaps> first(gst_caps_copy_nth(caps.get(), 0));
  return CapsText(first.get());
}

}  // namespace

Autoplug::Autoplug(GstBin* bin, GstElement* sink, const ElementCatalog& catalog,
                   const SourceUri& uri, Options options, std::function<void(Status)> fail)
    : bin_(bin),
      sink_(sink),
      catalog_(catalog),
      uri_(uri),
      options_(options),
      fail_(std::move(fail)) {}

void Autoplug::Note(const std::string& text) {
  const std::lock_guard lock(mutex_);
  notes_.push_back(text);
}

std::string Autoplug::Description() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const std::string& note : notes_) text += note + " ! ";
  return text + "appsink";
}

bool Autoplug::UsesHardware() const {
  const std::lock_guard lock(mutex_);
  return hardware_;
}

bool Autoplug::TakeVideo() {
  const std::lock_guard lock(mutex_);
  return !std::exchange(video_taken_, true);
}

GstElement* Autoplug::Add(const std::string& factory) {
  GstElement* element = gst_element_factory_make(factory.c_str(), nullptr);
  if (element == nullptr) return nullptr;
  const std::string threads = std::to_string(options_.threads);
  for (const char* property : {"max-threads", "threads", "n-threads"}) {
    SetIfPresent(element, property, threads);
  }
  // Frame threads would hold a picture back for each thread; slices do not.
  if (options_.threads > 1) SetIfPresent(element, "thread-type", "slice");
  SetIfPresent(element, "max-frame-delay", "1");  // dav1d
  gst_bin_add(bin_, element);
  return element;
}

bool Autoplug::Start(GstElement* element) {
  return gst_element_sync_state_with_parent(element) != FALSE;
}

void Autoplug::Extend(GstPad* pad, const GstCaps* caps, bool framed) {
  const std::string_view media = MediaOf(caps);
  if (media == "video/x-raw") {
    if (TakeVideo()) LinkToSink(pad, caps);
    return;
  }
  if (media == "application/x-rtp") return ExtendRtp(pad, caps);
  const std::string text = CapsText(caps);
  const auto chains = ChooseDecodeChains(text, framed, options_.hardware, catalog_);
  if (!chains.empty()) return ExtendCoded(pad, text, chains);
  if (ExtendContainer(pad, caps)) return;
  fail_(IsVideoMedia(media) ? MissingDecoder(text, uri_) : NotVideo(text, uri_));
}

bool Autoplug::ExtendContainer(GstPad* pad, const GstCaps* caps) {
  const std::string factory = BestFactory(GST_ELEMENT_FACTORY_TYPE_DEMUXER, caps);
  if (factory.empty()) return false;
  GstElement* demuxer = Add(factory);
  if (demuxer == nullptr) return false;
  Note(factory);
  WatchPads(demuxer, IsFramedContainer(factory));
  const GstOwn<GstPad> sink(gst_element_get_static_pad(demuxer, "sink"));
  // Demuxers of one stream have their pad from the start.
  if (const GstOwn<GstPad> only(gst_element_get_static_pad(demuxer, "src")); only != nullptr) {
    ExtendWhenKnown(only.get(), IsFramedContainer(factory));
  }
  // Linked first: a demuxer chooses pull or push when it is started.
  const bool linked = sink != nullptr && gst_pad_link(pad, sink.get()) == GST_PAD_LINK_OK;
  if (!linked || !Start(demuxer)) {
    fail_(InternalError("cannot put " + factory + " into the pipeline of " + uri_.shown +
                        "; report this as a bug"));
  }
  return true;
}

Status Autoplug::ExplainNoVideo() const {
  const std::lock_guard lock(mutex_);
  return video_taken_ || seen_.empty() ? OkStatus() : NotVideo(seen_, uri_);
}

void Autoplug::ExtendRtp(GstPad* pad, const GstCaps* caps) {
  const gchar* encoding =
      gst_structure_get_string(gst_caps_get_structure(caps, 0), "encoding-name");
  const std::string what = encoding != nullptr ? encoding : "RTP";
  const std::string factory = BestFactory(GST_ELEMENT_FACTORY_TYPE_DEPAYLOADER, caps);
  GstElement* depayloader = factory.empty() ? nullptr : Add(factory);
  if (depayloader == nullptr) return fail_(MissingDecoder(what, uri_));
  Note(factory);
  const std::string output = OutputCaps(depayloader);
  const GstOwn<GstPad> source(gst_element_get_static_pad(depayloader, "src"));
  if (IsKnownCodec(output)) {
    ExtendCoded(source.get(), output,
                ChooseDecodeChains(output, false, options_.hardware, catalog_));
  } else {
    ExtendWhenKnown(source.get(), false);
  }
  const GstOwn<GstPad> sink(gst_element_get_static_pad(depayloader, "sink"));
  if (!Start(depayloader) || gst_pad_link(pad, sink.get()) != GST_PAD_LINK_OK) {
    fail_(InternalError("cannot put " + factory + " into the pipeline of " + uri_.shown +
                        "; report this as a bug"));
  }
}

void Autoplug::ExtendCoded(GstPad* pad, const std::string& caps,
                           const std::vector<DecodeChain>& chains) {
  if (!TakeVideo()) return;
  for (const DecodeChain& chain : chains) {
    if (LinkChain(pad, chain)) {
      const std::lock_guard lock(mutex_);
      hardware_ = chain.hardware;
      return;
    }
    log::Warning("capture", "a decoder is installed but does not start; trying the next",
                 {{"source", uri_.shown}, {"decoder", chain.elements.back()}});
  }
  fail_(MissingDecoder(caps, uri_));
}

bool Autoplug::LinkChain(GstPad* pad, const DecodeChain& chain) {
  std::vector<GstElement*> elements;
  bool ok = true;
  for (const std::string& name : chain.elements) {
    GstElement* element = Add(name);
    ok = element != nullptr;
    if (!ok) break;
    elements.push_back(element);
    // A hardware decoder without its device fails here, while another can still take its place.
    ok = gst_element_set_state(element, GST_STATE_READY) != GST_STATE_CHANGE_FAILURE;
    if (ok && elements.size() > 1) ok = gst_element_link(elements[elements.size() - 2], element);
    if (!ok) break;
  }
  if (ok) {
    const GstOwn<GstPad> first(gst_element_get_static_pad(elements.front(), "sink"));
    const GstOwn<GstPad> last(gst_element_get_static_pad(elements.back(), "src"));
    ok = first != nullptr && last != nullptr;
    if (ok) {
      LinkToSink(last.get(), nullptr);
      std::ranges::for_each(elements.rbegin(), elements.rend(),
                            [&](GstElement* e) { ok &= Start(e); });
      ok = ok && gst_pad_link(pad, first.get()) == GST_PAD_LINK_OK;
    }
  }
  if (!ok) {
    for (GstElement* element : elements) {
      gst_element_set_state(element, GST_STATE_NULL);
      gst_bin_remove(bin_, element);
    }
    return false;
  }
  const std::lock_guard lock(mutex_);
  for (const std::string& name : chain.elements) {
    const auto at = converts_ ? notes_.end() - 1 : notes_.end();
    notes_.insert(at, name);
  }
  return true;
}

void Autoplug::LinkToSink(GstPad* pad, const GstCaps* caps) {
  gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, OnRawCaps, this, nullptr);
  const GstOwn<GstPad> sink(gst_element_get_static_pad(sink_, "sink"));
  // A candidate that was tried before and failed may still be linked.
  if (const GstOwn<GstPad> peer(gst_pad_get_peer(sink.get())); peer != nullptr) {
    gst_pad_unlink(peer.get(), sink.get());
  }
  if (caps != nullptr && !ParseRawFormat(caps)) return InsertConverter(pad, caps);
  gst_pad_link_full(pad, sink.get(), GST_PAD_LINK_CHECK_NOTHING);
}

void Autoplug::InsertConverter(GstPad* pad, const GstCaps* caps) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(converts_, true)) return;
    notes_.emplace_back("videoconvert");
  }
  GstElement* converter = Add("videoconvert");
  if (converter == nullptr) {
    return fail_(UnimplementedError("the pictures of " + uri_.shown +
                                    " need videoconvert, which is not installed; install "
                                    "gstreamer1.0-plugins-base"));
  }
  const GstOwn<GstPad> sink(gst_element_get_static_pad(sink_, "sink"));
  if (const GstOwn<GstPad> peer(gst_pad_get_peer(sink.get())); peer != nullptr) {
    gst_pad_unlink(peer.get(), sink.get());
  }
  const GstOwn<GstPad> in(gst_element_get_static_pad(converter, "sink"));
  const GstOwn<GstPad> out(gst_element_get_static_pad(converter, "src"));
  // Left to itself, videoconvert makes RGB of 4:4:4: twice the bytes, and dearer.
  if (const GstOwn<GstCaps> nearest = NearestRawCaps(caps); nearest != nullptr) {
    g_object_set(sink_, "caps", nearest.get(), nullptr);
  }
  gst_pad_link(out.get(), sink.get());
  Start(converter);
  gst_pad_link(pad, in.get());
}

GstPadProbeReturn Autoplug::OnRawCaps(GstPad* pad, GstPadProbeInfo* info, gpointer self) {
  GstEvent* event = GST_PAD_PROBE_INFO_EVENT(info);
  if (GST_EVENT_TYPE(event) != GST_EVENT_CAPS) return GST_PAD_PROBE_OK;
  GstCaps* caps = nullptr;
  gst_event_parse_caps(event, &caps);
  // The event goes to whoever is linked when this returns.
  if (!ParseRawFormat(caps)) static_cast<Autoplug*>(self)->InsertConverter(pad, caps);
  return GST_PAD_PROBE_OK;
}

void Autoplug::WatchPads(GstElement* element, bool framed) {
  g_object_set_data(G_OBJECT(element), kFramedKey, GINT_TO_POINTER(framed ? 1 : 0));
  g_signal_connect(element, "pad-added", G_CALLBACK(OnPadAdded), this);
  g_signal_connect(element, "no-more-pads", G_CALLBACK(OnNoMorePads), this);
}

void Autoplug::OnPadAdded(GstElement* element, GstPad* pad, gpointer data) {
  if (GST_PAD_DIRECTION(pad) != GST_PAD_SRC) return;
  const bool framed = GPOINTER_TO_INT(g_object_get_data(G_OBJECT(element), kFramedKey)) != 0;
  static_cast<Autoplug*>(data)->ExtendWhenKnown(pad, framed);
}

void Autoplug::ExtendWhenKnown(GstPad* pad, bool framed) {
  GstOwn<GstCaps> caps(gst_pad_get_current_caps(pad));
  if (caps == nullptr) {
    caps.reset(gst_pad_query_caps(pad, nullptr));
    if (gst_caps_is_any(caps.get()) || gst_caps_is_empty(caps.get()) ||
        !gst_caps_is_fixed(caps.get())) {
      g_object_set_data(G_OBJECT(pad), kFramedKey, GINT_TO_POINTER(framed ? 1 : 0));
      gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, OnFirstCaps, this, nullptr);
      return;
    }
  }
  Consider(pad, caps.get(), framed);
}

void Autoplug::Consider(GstPad* pad, const GstCaps* caps, bool framed) {
  const std::string_view media = MediaOf(caps);
  bool other = media.starts_with("audio/") || media.starts_with("text/") ||
               media.starts_with("subpicture/") || media.starts_with("closedcaption/");
  if (media == "application/x-rtp") {
    const gchar* kind = gst_structure_get_string(gst_caps_get_structure(caps, 0), "media");
    other = kind == nullptr || std::string_view(kind) != "video";
  }
  {
    const std::lock_guard lock(mutex_);
    if (other && seen_.empty()) seen_ = CapsText(caps);
    if (other || video_taken_) return;
  }
  Extend(pad, caps, framed);
}

GstPadProbeReturn Autoplug::OnFirstCaps(GstPad* pad, GstPadProbeInfo* info, gpointer self) {
  GstEvent* event = GST_PAD_PROBE_INFO_EVENT(info);
  if (GST_EVENT_TYPE(event) != GST_EVENT_CAPS) return GST_PAD_PROBE_OK;
  GstCaps* caps = nullptr;
  gst_event_parse_caps(event, &caps);
  const bool framed = GPOINTER_TO_INT(g_object_get_data(G_OBJECT(pad), kFramedKey)) != 0;
  static_cast<Autoplug*>(self)->Consider(pad, caps, framed);
  return GST_PAD_PROBE_REMOVE;
}

void Autoplug::OnNoMorePads(GstElement*, gpointer data) {
  auto* self = static_cast<Autoplug*>(data);
  std::string seen;
  {
    const std::lock_guard lock(self->mutex_);
    if (self->video_taken_) return;
    seen = self->seen_;
  }
  self->fail_(NotVideo(seen, self->uri_));
}

}  // namespace selvedge
