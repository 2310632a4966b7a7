#pragma once

// Autoplug: grows a GStreamer pipeline from a pad with known content to raw video in our appsink.
//
// It does what decodebin does, for one video stream and with nothing in between: no multiqueue, no
// queue, no extra thread, no sound decoded. A demuxer's or depayloader's output is looked up in the
// ElementCatalog, decoders are tried in order of preference, and a videoconvert is put in only
// where the decoder's format is none of ours.
//
// Owned by a Session, which keeps it alive until its pipeline is in the NULL state. Extend and the
// signal handlers run on GStreamer's streaming threads (one at a time for one chain); Description
// on any thread. Failures go to `fail`, once or several times, from the thread where they happen.

#include <gst/gst.h>

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/status.h"
#include "device/capture/catalog.h"
#include "device/capture/uri.h"

namespace selvedge {

class Autoplug {
 public:
  struct Options {
    int threads = 1;       // of a software decoder
    bool hardware = true;  // use hardware decoders
  };

  // `bin` and `sink` (an element of it) are borrowed and outlive this.
  Autoplug(GstBin* bin, GstElement* sink, const ElementCatalog& catalog, const SourceUri& uri,
           Options options, std::function<void(Status)> fail);
  Autoplug(const Autoplug&) = delete;
  Autoplug& operator=(const Autoplug&) = delete;

  // A new element of the pipeline, for Description: "filesrc location=a.avi".
  void Note(const std::string& text);
  // `pad` gives `caps`; links what turns it into pictures, or reports why it cannot. `framed`: see
  // ChooseDecodeChains.
  void Extend(GstPad* pad, const GstCaps* caps, bool framed);
  // `element` will grow pads that give video, sound and others (a demuxer, rtspsrc): the first
  // video pad is taken, the rest stay unlinked.
  void WatchPads(GstElement* element, bool framed);

  std::string Description() const;
  bool UsesHardware() const;
  // Where an error came while nothing but other streams was seen: that the source holds no video.
  // OK else.
  Status ExplainNoVideo() const;

 private:
  static void OnPadAdded(GstElement* element, GstPad* pad, gpointer self);
  static void OnNoMorePads(GstElement* element, gpointer self);
  static GstPadProbeReturn OnFirstCaps(GstPad* pad, GstPadProbeInfo* info, gpointer self);
  static GstPadProbeReturn OnRawCaps(GstPad* pad, GstPadProbeInfo* info, gpointer self);

  void ExtendWhenKnown(GstPad* pad, bool framed);
  // Extends by video, remembers what else there is.
  void Consider(GstPad* pad, const GstCaps* caps, bool framed);
  bool ExtendContainer(GstPad* pad, const GstCaps* caps);
  void ExtendRtp(GstPad* pad, const GstCaps* caps);
  void ExtendCoded(GstPad* pad, const std::string& caps, const std::vector<DecodeChain>& chains);
  bool LinkChain(GstPad* pad, const DecodeChain& chain);
  void LinkToSink(GstPad* pad, const GstCaps* caps);
  void InsertConverter(GstPad* pad, const GstCaps* caps);
  GstElement* Add(const std::string& factory);
  bool Start(GstElement* element);
  bool TakeVideo();

  GstBin* const bin_;
  GstElement* const sink_;
  const ElementCatalog& catalog_;
  const SourceUri uri_;
  const Options options_;
  const std::function<void(Status)> fail_;

  mutable std::mutex mutex_;
  std::vector<std::string> notes_;
  std::string seen_;  // caps of what was passed over, for the message
  bool video_taken_ = false;
  bool hardware_ = false;
  bool converts_ = false;
};

}  // namespace selvedge
