#pragma once

// The inside of OciServer: reading in oci_server.cc, writing in oci_server_push.cc.

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "net/http_server.h"
#include "registry/content_store.h"
#include "registry/oci_route.h"
#include "registry/oci_server.h"

namespace selvedge {

class OciServerCore : public std::enable_shared_from_this<OciServerCore> {
 public:
  OciServerCore(ContentStore* store, OciServerOptions options)
      : store_(*store), options_(std::move(options)) {}

  void Get(const HttpRequest& request, const HttpReply& reply);
  void Delete(const HttpRequest& request, const HttpReply& reply);
  // POST, PATCH and PUT.
  HttpUpload Send(const HttpRequest& request);

  ContentStore& store() { return store_; }
  const OciServerOptions& options() const { return options_; }

  std::atomic<std::uint64_t> bytes_sent = 0;
  std::atomic<std::uint64_t> bytes_received = 0;

 private:
  // The answer that refuses, where it is refused.
  std::optional<HttpResponse> Refuse(const HttpRequest& request, OciAction action,
                                     const OciRoute& route) const;

  HttpResponse GetCatalog(const HttpRequest& request);
  HttpResponse GetTags(const HttpRequest& request, const OciRoute& route);
  HttpResponse GetReferrers(const HttpRequest& request, const OciRoute& route);
  HttpResponse GetUpload(const OciRoute& route);
  void GetManifest(const HttpRequest& request, const OciRoute& route, const HttpReply& reply);
  void GetBlob(const HttpRequest& request, const OciRoute& route, const HttpReply& reply);
  HttpResponse AnswerManifest(const HttpRequest& request, const OciRoute& route);
  HttpResponse AnswerBlob(const HttpRequest& request, const OciRoute& route);

  HttpUpload BeginUpload(const HttpRequest& request, const OciRoute& route);
  HttpUpload ContinueUpload(const HttpRequest& request, const OciRoute& route);
  HttpUpload PutManifest(const HttpRequest& request, const OciRoute& route);
  HttpResponse StoreManifest(const OciRoute& route, const std::string& type,
                             std::string_view bytes);

  ContentStore& store_;
  const OciServerOptions options_;
};

// {"errors": [{"code", "message"}]}
HttpResponse OciError(int status, std::string_view code, std::string_view message);
// `not_found` is the code where the Status is NotFound or DataLoss (what is damaged is not there).
HttpResponse OciErrorOf(const Status& status, std::string_view not_found);

}  // namespace selvedge
