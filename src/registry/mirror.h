#pragma once

// Mirror: a cache in front of another registry, for a site: a blob crosses the uplink once, however
// many devices ask, and what was once fetched is served while the upstream is away.
//
// Owned by the gateway (or `selvedge registry --mirror`); used by an OciServer. Has threads of its
// own for downloads. Thread-safe. Tags are asked of the upstream when older than `tag_life`, and
// answered from here where it is away; digests are asked for once. Whatever is served was compared
// with its digest. Above `max_bytes` the blobs that were longest not used go.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "registry/content_store.h"
#include "registry/oci_client.h"

namespace selvedge {

struct MirrorOptions {
  OciClientOptions upstream;
  std::uint64_t max_bytes = std::uint64_t{20} << 30;
  std::chrono::milliseconds tag_life{5'000};
  int downloads = 4;      // at the same time
  int max_waiting = 200;  // requests; above it Unavailable at once
};

class Mirror {
 public:
  // `store` must outlive it.
  Mirror(ContentStore* store, MirrorOptions options);
  ~Mirror();  // ends downloads; those who wait hear Cancelled
  Mirror(const Mirror&) = delete;
  Mirror& operator=(const Mirror&) = delete;

  // Called once, from any thread, also before the call returns: OK when it is in the store.
  using Done = std::function<void(Status)>;

  // Has the blob (its size is found out) or the manifest in the store, or gets it. `wait` is how
  // long the caller wants to wait at most: DeadlineExceeded then, while the download goes on.
  void WantBlob(std::string_view repository, const std::string& digest,
                std::chrono::milliseconds wait, Done done);
  void WantManifest(std::string_view repository, std::string_view reference,
                    std::chrono::milliseconds wait, Done done);

  const std::string& upstream_url() const;
  std::uint64_t bytes_fetched() const;  // from the upstream, since it was made

 private:
  std::unique_ptr<class MirrorCore> core_;
};

}  // namespace selvedge
