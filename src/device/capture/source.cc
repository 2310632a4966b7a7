#include "device/capture/source.h"

#include <sys/stat.h>

#include <utility>

#include "device/capture/catalog.h"
#include "device/capture/folder_source.h"
#include "device/capture/gst_util.h"
#include "device/capture/uri.h"
#include "device/capture/video_source.h"

namespace selvedge {
namespace {

Status CheckOptions(const SourceOptions& options) {
  if (options.transport != "tcp" && options.transport != "udp") {
    return InvalidArgumentError("source.transport \"" + options.transport + "\": use tcp or udp");
  }
  if (!(options.fps >= 0 && options.fps <= 1000)) {
    return InvalidArgumentError("source.fps must lie between 0 and 1000");
  }
  if (!(options.speed > 0 && options.speed <= 1000)) {
    return InvalidArgumentError("source.speed must be above 0 and at most 1000");
  }
  if (options.width < 0 || options.height < 0) {
    return InvalidArgumentError("source.width and source.height must not be negative");
  }
  if (options.decoder_threads < 1 || options.decoder_threads > 64) {
    return InvalidArgumentError("source.decoder_threads must lie between 1 and 64");
  }
  if (options.timeout <= 0) return InvalidArgumentError("source.timeout must be above 0");
  return OkStatus();
}

bool IsFolder(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// Whether pictures will probably be decoded by libav, as far as that can be known before
// connecting.
bool WillUseLibav(const SourceUri& uri, const SourceOptions& options) {
  if (uri.kind == SourceKind::kPath || uri.kind == SourceKind::kHttpFile) return true;
  if (uri.kind != SourceKind::kRtsp) return false;
  const auto chains = ChooseDecodeChains("video/x-h264", false, options.hardware, SystemCatalog());
  return !chains.empty() && !chains.front().hardware;
}

}  // namespace

Result<std::unique_ptr<Source>> MakeSource(const SourceOptions& options, const Clock& clock) {
  SELVEDGE_ASSIGN_OR_RETURN(SourceUri uri, ParseSourceUri(options.uri));
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckOptions(options));
  SELVEDGE_RETURN_ERR_IF_ERROR(InitGst());
  if (uri.kind == SourceKind::kPath && IsFolder(uri.location)) {
    return std::make_unique<FolderSource>(options, uri.location, clock);
  }
  if (WillUseLibav(uri, options)) PreloadSoftwareDecoders();
  return std::make_unique<VideoSource>(options, std::move(uri), clock, SystemCatalog());
}

std::vector<std::string> ListHardwareElements() {
  return HardwareElements(SystemCatalog());
}

}  // namespace selvedge
