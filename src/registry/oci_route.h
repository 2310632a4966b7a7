#pragma once

// What a request to a registry is about: the path, the ranges, who asks. Pure; thread-safe. All of
// it is read from what strangers sent.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/http_server.h"
#include "registry/oci_server.h"

namespace selvedge {

struct OciRoute {
  enum class Kind {
    kNone,       // no path of a registry
    kBase,       // /v2/
    kCatalog,    // /v2/_catalog
    kTags,       // /v2/NAME/tags/list
    kManifest,   // /v2/NAME/manifests/ITEM
    kBlob,       // /v2/NAME/blobs/ITEM
    kUploads,    // /v2/NAME/blobs/uploads/
    kUpload,     // /v2/NAME/blobs/uploads/ITEM
    kReferrers,  // /v2/NAME/referrers/ITEM
  };
  Kind kind = Kind::kNone;
  std::string name;  // of the repository, as sent: not checked
  std::string item;
};
// `path` is decoded and begins with "/v2".
OciRoute ParseOciRoute(std::string_view path);

// "0-1023" of a chunk's Content-Range; nothing where it is none.
struct ChunkRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};
std::optional<ChunkRange> ParseChunkRange(std::string_view header);

// Who asks, from Authorization and the client's certificate.
OciCaller CallerOf(const HttpRequest& request);

// N of "Prefer: wait=N" (RFC 7240), seconds; nothing where the header does not say so.
std::optional<int> PreferredWait(std::string_view header);

}  // namespace selvedge
