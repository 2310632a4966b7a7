#pragma once

// What GStreamer's errors mean to the person who runs us: one sentence of what, where, what to do.
// Internal to device/capture. Pure but for reading the GError.

#include <gst/gst.h>

#include <string>

#include "base/status.h"
#include "device/capture/uri.h"

namespace selvedge {

// `debug` is the message's detail text, may be null; its last line joins the sentence, secrets
// masked. `began`: something had arrived before the error.
Status StatusFromGst(const GError& error, const char* debug, const SourceUri& uri, bool began);

// "cannot decode H.265 … install gstreamer1.0-libav" for coded video that this machine cannot
// decode.
Status MissingDecoder(const std::string& caps, const SourceUri& uri);

// For a stream whose content, by its caps, is no video.
Status NotVideo(const std::string& caps, const SourceUri& uri);

}  // namespace selvedge
