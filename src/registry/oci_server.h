#pragma once

// OciServer: a ContentStore as a registry that speaks OCI Distribution 1.1 (opencontainers.org),
// for skopeo, oras, crane and our own client. Pull, push (in one piece, in chunks, resumed,
// mounted), ranges, tags, catalogue, delete, referrers.
//
// Owned by whoever has the HttpServer, which must have worker threads (two at least): calls wait
// for the disk. Register adds routes under /v2/; store, mirror and what `authorize` needs must
// outlive the server. Whom it trusts: nobody who `authorize` does not let in; there is no anonymous
// push. Failure: answers with the codes of the specification ({"errors": [{"code", "message"}]}).

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "net/http_server.h"
#include "registry/content_store.h"

namespace selvedge {

class Mirror;

// Who asks. All of it may be empty.
struct OciCaller {
  std::string token;             // of Authorization: Bearer, or the password of Basic
  std::string peer_name;         // CN of a client certificate that the server's CA signed
  std::string peer_fingerprint;  // its SHA-256
};

enum class OciAction { kPull, kPush, kDelete, kList };

// OK, or Unauthenticated (asked to log in: 401), or PermissionDenied (403). `repository` is empty
// for kList, and for the check that clients begin with. Called on worker threads.
using OciAuthorize =
    std::function<Status(const OciCaller& caller, OciAction action, std::string_view repository)>;

struct OciServerOptions {
  OciAuthorize authorize;  // must be set
  // In front of another registry: what is not here is asked of it, and nothing can be pushed.
  Mirror* mirror = nullptr;
  // Called after a manifest got a tag, on a worker thread.
  std::function<void(std::string_view repository, std::string_view tag, std::string_view digest)>
      on_pushed;
};

class OciServer {
 public:
  OciServer(ContentStore* store, OciServerOptions options);
  ~OciServer();
  OciServer(const OciServer&) = delete;
  OciServer& operator=(const OciServer&) = delete;

  // Before the server starts. The server must be stopped before this object goes.
  void Register(HttpServer* server);

  // Content sent and received since it was made, without headers.
  std::uint64_t bytes_sent() const;
  std::uint64_t bytes_received() const;

 private:
  std::shared_ptr<class OciServerCore> core_;
};

}  // namespace selvedge
