#pragma once

// PictureDecoder: one kind of picture file to raw pixels, through a GStreamer pipeline that is kept
// and restarted for each file. One thread at a time. Internal to device/capture.

#include <gst/gst.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "device/capture/autoplug.h"
#include "device/capture/gst_util.h"

namespace selvedge {

// "image/jpeg", "image/png", "image/webp" by a file's first 12 bytes, else empty.
std::string_view PictureType(std::string_view head);

class PictureDecoder {
 public:
  // `type` as PictureType gives it. Unimplemented where no decoder is installed.
  static Result<std::unique_ptr<PictureDecoder>> Make(std::string_view type, int threads);
  ~PictureDecoder();
  PictureDecoder(const PictureDecoder&) = delete;
  PictureDecoder& operator=(const PictureDecoder&) = delete;

  // The picture, or DataLoss. The sample outlives the decoder.
  Result<GstOwn<GstSample>> Decode(const std::string& path);
  std::string Describe() const { return autoplug_->Description(); }

 private:
  PictureDecoder() = default;

  GstElement* pipeline_ = nullptr;
  GstElement* source_ = nullptr;  // both the pipeline's
  GstElement* sink_ = nullptr;
  std::unique_ptr<Autoplug> autoplug_;
};

}  // namespace selvedge
