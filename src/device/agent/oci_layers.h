#pragma once

// The root folder of a container out of the layers of its image (OCI image specification 1.1,
// "Image Layer Filesystem Changeset").
//
// Layers come from others. No entry, whatever earlier ones planted, reaches outside of the folder
// (RootFolder); devices are left out, since the runtime makes those that a container gets; setuid
// and setgid bits are taken away unless asked for. Extended attributes are left out. Waits for the
// disk; thread-safe. Failure: one sentence that names the layer and the entry; what was unpacked so
// far is removed. InvalidArgument and FailedPrecondition for a layer that must not be unpacked,
// DataLoss where it is damaged or not what manifest and config say, ResourceExhausted where a limit
// or the disk ends it, Cancelled where told to stop.

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/status.h"
#include "device/agent/layer_stream.h"

namespace selvedge {

struct LayerLimits {
  std::uint64_t entries = 500'000;               // of all layers
  std::uint64_t bytes = std::uint64_t{8} << 30;  // of all layers, unpacked; holes count
  std::size_t path_bytes = 2048;                 // of an entry's path or a link's target
};

struct LayerFile {
  std::string path;  // of the blob's file
  std::string media_type;
  std::string digest;      // of the blob
  std::uint64_t size = 0;  // of the blob
  std::string diff_id;     // digest of the tar, from the image's config
};

struct UnpackOptions {
  LayerLimits limits;
  bool keep_setuid = false;
  bool keep_owners = true;  // as root only; else everything belongs to us
  std::stop_token stop;
  // Bytes of blobs that are unpacked, of all; after each layer.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
};

struct UnpackedLayers {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::uint64_t devices = 0;  // entries that were left out
};

// All layers, the lowest first, into `folder`, which is made or replaced: it is there whole and on
// the disk, or not at all.
Result<UnpackedLayers> UnpackLayers(std::span<const LayerFile> layers, const std::string& folder,
                                    const UnpackOptions& options = {});

class RootFolder;

// One layer onto what is in `root` already; *total counts on. What a failure leaves stays.
Status ApplyLayer(LayerSource source, const LayerStreamOptions& stream, const RootFolder& root,
                  const UnpackOptions& options, UnpackedLayers* total);

// An entry's path, relative and without "." and doubled '/'; empty for the root. InvalidArgument
// for "..", and for what is too long.
Result<std::string> CleanEntryPath(std::string_view path, std::size_t limit);

}  // namespace selvedge
