#include "device/capture/picture_decoder.h"

#include <gst/app/gstappsink.h>
#include <gst/video/video.h>

#include "device/capture/frame_pool.h"
#include "device/capture/gst_status.h"

namespace selvedge {
namespace {

constexpr GstClockTime kPatience = 10 * GST_SECOND;

GstPadProbeReturn OfferVideoMeta(GstPad*, GstPadProbeInfo* info, gpointer) {
  GstQuery* query = GST_PAD_PROBE_INFO_QUERY(info);
  if (GST_QUERY_TYPE(query) != GST_QUERY_ALLOCATION) return GST_PAD_PROBE_OK;
  gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, nullptr);
  return GST_PAD_PROBE_HANDLED;
}

}  // namespace

std::string_view PictureType(std::string_view head) {
  if (head.starts_with("\xFF\xD8\xFF")) return "image/jpeg";
  if (head.starts_with("\x89PNG\r\n\x1A\n")) return "image/png";
  if (head.size() >= 12 && head.starts_with("RIFF") && head.substr(8, 4) == "WEBP")
    return "image/webp";
  return "";
}

Result<std::unique_ptr<PictureDecoder>> PictureDecoder::Make(std::string_view type, int threads) {
  SELVEDGE_RETURN_ERR_IF_ERROR(InitGst());
  std::unique_ptr<PictureDecoder> decoder(new PictureDecoder);
  decoder->pipeline_ = GST_ELEMENT(gst_object_ref_sink(gst_pipeline_new(nullptr)));
  decoder->source_ = gst_element_factory_make("filesrc", nullptr);
  decoder->sink_ = gst_element_factory_make("appsink", nullptr);
  if (decoder->source_ == nullptr || decoder->sink_ == nullptr) {
    return Err(UnimplementedError(
        "a basic GStreamer element is missing; install gstreamer1.0-plugins-base"));
  }
  GstBin* bin = GST_BIN(decoder->pipeline_);
  gst_bin_add_many(bin, decoder->source_, decoder->sink_, nullptr);
  const GstOwn<GstCaps> caps(gst_caps_from_string(kRawCaps));
  g_object_set(decoder->sink_, "caps", caps.get(), "sync", FALSE, "async", FALSE,
               "enable-last-sample", FALSE, "max-buffers", 1, nullptr);
  const GstOwn<GstPad> sink_pad(gst_element_get_static_pad(decoder->sink_, "sink"));
  gst_pad_add_probe(sink_pad.get(), GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, OfferVideoMeta, nullptr,
                    nullptr);
  // A picture is decoded alone: hardware would cost more to set up than it saves.
  decoder->autoplug_ =
      std::make_unique<Autoplug>(bin, decoder->sink_, SystemCatalog(), SourceUri{},
                                 Autoplug::Options{threads, false}, [](const Status&) {});
  decoder->autoplug_->Note("filesrc");
  const GstOwn<GstPad> pad(gst_element_get_static_pad(decoder->source_, "src"));
  const GstOwn<GstCaps> type_caps(gst_caps_new_empty_simple(std::string(type).c_str()));
  decoder->autoplug_->Extend(pad.get(), type_caps.get(), true);
  if (!gst_pad_is_linked(pad.get())) {
    return Err(UnimplementedError("no decoder for " + CodecName(type) +
                                  " pictures is installed; install gstreamer1.0-plugins-good and "
                                  "gstreamer1.0-plugins-bad"));
  }
  return decoder;
}

PictureDecoder::~PictureDecoder() {
  if (pipeline_ == nullptr) return;
  gst_element_set_state(pipeline_, GST_STATE_NULL);
  gst_object_unref(pipeline_);
}

Result<GstOwn<GstSample>> PictureDecoder::Decode(const std::string& path) {
  const GstOwn<GstBus> bus(gst_element_get_bus(pipeline_));
  g_object_set(source_, "location", path.c_str(), nullptr);
  GstOwn<GstSample> sample;
  if (gst_element_set_state(pipeline_, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE) {
    // Null at the end of the stream too, which an error brings about.
    sample.reset(gst_app_sink_try_pull_sample(GST_APP_SINK(sink_), kPatience));
  }
  std::string reason = "it holds no picture";
  if (const GstOwn<GstMessage> message(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ERROR));
      message != nullptr) {
    GError* error = nullptr;
    gst_message_parse_error(message.get(), &error, nullptr);
    reason = error->message;
    g_error_free(error);
  }
  // Down to NULL: a mere READY would leave appsink at its end of the stream.
  gst_element_set_state(pipeline_, GST_STATE_NULL);
  gst_bus_set_flushing(bus.get(), TRUE);
  gst_bus_set_flushing(bus.get(), FALSE);
  if (sample == nullptr || gst_sample_get_buffer(sample.get()) == nullptr) {
    return Err(DataLossError("picture " + path + " cannot be decoded (" + reason + ")"));
  }
  return sample;
}

}  // namespace selvedge
