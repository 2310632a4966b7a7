#pragma once

// OciClient: pulls from and pushes to a registry that speaks OCI Distribution 1.1, ours or another.
//
// Owned by whoever downloads or pushes; thread-safe; calls wait for the network. Whom it trusts: a
// server whose certificate the given CA signed, and content only after its digest was compared.
// Logs in as the server asks: bearer token, Basic, or a token from the server that the challenge
// names (distribution.github.io, "Token authentication"). Failure: that of HttpClient; NotFound
// where repository, tag or blob is not there; Unauthenticated and PermissionDenied say what to do;
// DataLoss where content is not what its digest says, also after it was downloaded anew.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "net/http_client.h"
#include "registry/content_store.h"
#include "registry/manifest.h"

namespace selvedge {

struct OciClientOptions {
  std::string url;    // "https://HOST:PORT"; "http://" for loopback only
  std::string token;  // ours: sent as Bearer, or as Basic's password where that is asked for
  std::string user;   // with `password`, for other registries
  std::string password;
  HttpClientOptions http;  // TLS, proxy; time limits are the client's own
  // Tries of one transfer that made no progress, a growing pause between them (0.2 s to 10 s).
  int tries = 5;
};

// Bytes of this transfer so far, and of all; on the calling thread.
using OciProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

class OciClient {
 public:
  explicit OciClient(OciClientOptions options);
  ~OciClient();
  OciClient(const OciClient&) = delete;
  OciClient& operator=(const OciClient&) = delete;

  const std::string& url() const;

  // Whether the server is a registry and lets us in.
  Status Check();
  // What a tag points at, without the content; its size and media type too.
  Result<Descriptor> Resolve(const std::string& repository, const std::string& reference,
                             std::stop_token stop = {});
  // Its digest was compared with the content and, where `reference` is one, with that.
  Result<StoredManifest> GetManifest(const std::string& repository, const std::string& reference,
                                     std::stop_token stop = {});
  // How large a blob is; NotFound where the repository does not have it.
  Result<std::uint64_t> BlobSize(const std::string& repository, const std::string& digest,
                                 std::stop_token stop = {});
  // A blob into `store` (linked into `repository` there); done at once where it has it. Goes on
  // where an earlier try, also of an earlier process, was cut off.
  Status Download(const std::string& repository, const Descriptor& blob, ContentStore* store,
                  const OciProgress& progress = {}, std::stop_token stop = {});
  // A small blob (a config) into memory.
  Result<std::string> GetBlob(const std::string& repository, const Descriptor& blob,
                              std::stop_token stop = {});

  // Sends a file, or bytes, unless the registry has it. Returns whether anything was sent. A cut
  // upload goes on where it was.
  Result<bool> PushFile(const std::string& repository, const Descriptor& blob,
                        const std::string& path, const OciProgress& progress = {},
                        std::stop_token stop = {});
  Result<bool> PushBytes(const std::string& repository, const Descriptor& blob,
                         std::string_view bytes);
  Status PushManifest(const std::string& repository, const std::string& reference,
                      std::string_view media_type, std::string_view bytes);

  Result<std::vector<std::string>> Tags(const std::string& repository);

 private:
  std::unique_ptr<class OciClientCore> core_;
};

}  // namespace selvedge
