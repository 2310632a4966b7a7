#pragma once

// Small things around GStreamer that every file here needs: ownership, start-up, memory, decoder
// errors. Internal to device/capture; nothing of it leaves the folder.

#include <gst/gst.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"

namespace selvedge {

struct GstUnref {
  void operator()(GstElement* p) const { gst_object_unref(p); }
  void operator()(GstPad* p) const { gst_object_unref(p); }
  void operator()(GstBus* p) const { gst_object_unref(p); }
  void operator()(GstClock* p) const { gst_object_unref(p); }
  void operator()(GstElementFactory* p) const { gst_object_unref(p); }
  void operator()(GstPluginFeature* p) const { gst_object_unref(p); }
  void operator()(GstCaps* p) const { gst_caps_unref(p); }
  void operator()(GstMessage* p) const { gst_message_unref(p); }
  void operator()(GstSample* p) const { gst_sample_unref(p); }
  void operator()(gchar* p) const { g_free(p); }
  void operator()(GError* p) const { g_error_free(p); }
};
template <typename T>
using GstOwn = std::unique_ptr<T, GstUnref>;

// Initialises GStreamer once per process; cheap afterwards. Internal where it cannot.
Status InitGst();

// Loads the plugin of software decoders (libav and the 170 libraries it brings) and trims, once per
// process. Sources call it when they are made, so that the load's peak of memory passes before an
// engine's begins.
void PreloadSoftwareDecoders();

// Gives back the physical pages of all loaded libraries' read-only segments. Loading and
// registering a hundred libraries touches far more code than decoding runs; what is needed comes
// back by minor faults from the page cache. Saves about 26 MiB of resident memory with libav.
void TrimLibraryPages();

// Errors that decoders reported on the calling thread since this was last called on it: pictures
// lost or patched up. Known for decoders that run on the thread that delivers, as software decoders
// with one thread do.
std::uint64_t TakeDecoderErrors();

// caps as text.
std::string CapsText(const GstCaps* caps);

// Sets a property where the element has it, converted from text as gst-launch does.
void SetIfPresent(GstElement* element, const char* property, const std::string& value);

}  // namespace selvedge
