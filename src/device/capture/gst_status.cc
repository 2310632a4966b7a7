#include "device/capture/gst_status.h"

#include <algorithm>
#include <string_view>

#include "base/log.h"
#include "device/capture/catalog.h"

namespace selvedge {
namespace {

// GStreamer's detail text is "file.c(123): function (): /path/of/element:\nWhat happened." Only the
// last line is for people.
std::string Detail(const GError& error, const char* debug) {
  std::string_view text = debug != nullptr ? debug : "";
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  const std::size_t line = text.rfind('\n');
  std::string detail(line != std::string_view::npos ? text.substr(line + 1) : error.message);
  // souphttpsrc repeats the URL that the sentence begins with.
  detail.resize(std::min(detail.size(), detail.find(", URL: ")));
  while (!detail.empty() && (detail.back() == '.' || detail.back() == ' ')) detail.pop_back();
  return log::MaskSecrets(detail);
}

std::string_view Noun(SourceKind kind) {
  switch (kind) {
    case SourceKind::kPath: return "video file";
    case SourceKind::kCamera: return "camera";
    case SourceKind::kRtsp: return "RTSP source";
    case SourceKind::kHttpLive:
    case SourceKind::kHttpFile: return "HTTP source";
    case SourceKind::kTest: return "test source";
  }
  return "source";
}

bool IsNetwork(SourceKind kind) {
  return kind == SourceKind::kRtsp || kind == SourceKind::kHttpLive ||
         kind == SourceKind::kHttpFile;
}

Status Unreachable(const std::string& what, const std::string& tail) {
  return UnavailableError(what + " cannot be reached" + tail + "; check host, port and network");
}

Status ResourceStatus(int code, const std::string& what, const std::string& detail,
                      const SourceUri& uri, bool began) {
  const bool network = IsNetwork(uri.kind);
  const std::string tail = " (" + detail + ")";
  switch (code) {
    case GST_RESOURCE_ERROR_NOT_AUTHORIZED:
      return UnauthenticatedError(what + " refused user or password" + tail +
                                  "; set source.user and source.password_file");
    case GST_RESOURCE_ERROR_NOT_FOUND:
      if (uri.kind == SourceKind::kCamera) {
        return NotFoundError(what + " does not exist" + tail + "; check that it is plugged in");
      }
      return NotFoundError(what + (network ? " was not found" : " does not exist") + tail +
                           "; check source.uri");
    case GST_RESOURCE_ERROR_BUSY:
      return UnavailableError(what + " is in use by another program" + tail +
                              "; close that program");
    case GST_RESOURCE_ERROR_OPEN_READ:
    case GST_RESOURCE_ERROR_OPEN_WRITE:
    case GST_RESOURCE_ERROR_OPEN_READ_WRITE:
      if (network) return Unreachable(what, tail);
      return PermissionDeniedError(what + " cannot be opened" + tail + "; check its permissions");
    case GST_RESOURCE_ERROR_SETTINGS:
      return InvalidArgumentError(
          what + " does not offer what was asked" + tail +
          "; check source.width, source.height, source.fps and source.transport");
    default: break;
  }
  if (network && !began) return Unreachable(what, tail);
  if (network || uri.kind == SourceKind::kCamera) {
    return UnavailableError(what + " broke off" + tail + "; check the device and the network");
  }
  return DataLossError(what + " cannot be read further" + tail + "; check the file and its disk");
}

}  // namespace

Status StatusFromGst(const GError& error, const char* debug, const SourceUri& uri, bool began) {
  const std::string what = std::string(Noun(uri.kind)) + " " + uri.shown;
  const std::string detail = Detail(error, debug);
  const std::string tail = " (" + detail + ")";
  if (error.domain == GST_RESOURCE_ERROR) {
    return ResourceStatus(error.code, what, detail, uri, began);
  }
  if (error.domain == GST_STREAM_ERROR) {
    switch (error.code) {
      case GST_STREAM_ERROR_TYPE_NOT_FOUND:
      case GST_STREAM_ERROR_WRONG_TYPE:
        return InvalidArgumentError(what + " is not video that we know" + tail +
                                    "; check that it plays in a video player");
      case GST_STREAM_ERROR_CODEC_NOT_FOUND:
        return UnimplementedError(what + " needs a decoder that is not installed" + tail +
                                  "; install gstreamer1.0-libav and gstreamer1.0-plugins-bad");
      default: break;
    }
    // souphttpsrc tells a refused connection and an unknown host as this.
    if (IsNetwork(uri.kind) && !began && error.code == GST_STREAM_ERROR_FAILED) {
      return Unreachable(what, "");
    }
    if (uri.kind != SourceKind::kPath && uri.kind != SourceKind::kHttpFile) {
      return UnavailableError(what + " broke off" + tail + "; check the device and the network");
    }
    return DataLossError(what + " is damaged or cut off" + tail + "; check it, or convert it anew");
  }
  if (error.domain == GST_CORE_ERROR && error.code == GST_CORE_ERROR_MISSING_PLUGIN) {
    return UnimplementedError(what + " needs a GStreamer plugin that is not installed" + tail +
                              "; install the gstreamer1.0-plugins packages");
  }
  return InternalError(what + " failed" + tail + "; report this as a bug");
}

Status MissingDecoder(const std::string& caps, const SourceUri& uri) {
  return UnimplementedError(std::string(Noun(uri.kind)) + " " + uri.shown + " holds " +
                            CodecName(caps) +
                            " video, which no decoder on this machine takes; install "
                            "gstreamer1.0-libav and gstreamer1.0-plugins-bad");
}

Status NotVideo(const std::string& caps, const SourceUri& uri) {
  return InvalidArgumentError(std::string(Noun(uri.kind)) + " " + uri.shown + " holds no video" +
                              (caps.empty() ? "" : " but " + CodecName(caps)) + "; give a video");
}

}  // namespace selvedge
