#include "registry/oci_server.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "net/http_client.h"
#include "registry/mirror.h"
#include "registry/oci_server_core.h"
#include "registry/reference.h"

namespace selvedge {
namespace {

using nlohmann::json;
using Kind = OciRoute::Kind;

constexpr int kMaxPage = 1000;
constexpr int kDefaultPage = 100;
constexpr std::chrono::seconds kReadTimeout{120};   // a large blob is read through first
constexpr std::chrono::minutes kMirrorTimeout{15};  // a large blob crosses the uplink first
constexpr std::chrono::seconds kCommitTimeout{120};

std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

HttpResponse Json(const json& value, std::string type = "application/json") {
  HttpResponse response;
  response.content_type = std::move(type);
  response.body = Dump(value);
  return response;
}

// ?n= and ?last=.
struct Page {
  int limit = kDefaultPage;
  std::string after;
};

Result<Page> PageOf(const HttpRequest& request) {
  Page page{.limit = kDefaultPage, .after = QueryValue(request.query, "last")};
  const std::string n = QueryValue(request.query, "n");
  if (n.empty()) return page;
  const auto [end, error] = std::from_chars(n.data(), n.data() + n.size(), page.limit);
  if (error != std::errc() || end != n.data() + n.size() || page.limit < 0) {
    return Err(InvalidArgumentError("n is no number of entries"));
  }
  page.limit = std::min(page.limit, kMaxPage);
  return page;
}

// Of `found`, which holds one more than asked for where there are more.
void AddLink(const std::string& path, const Page& page, std::vector<std::string>* found,
             HttpResponse* response) {
  if (static_cast<int>(found->size()) <= page.limit) return;
  found->resize(static_cast<std::size_t>(page.limit));
  if (found->empty()) return;
  response->headers.emplace_back("Link", "<" + path + "?n=" + std::to_string(page.limit) +
                                             "&last=" + PercentEncode(found->back()) +
                                             ">; rel=\"next\"");
}

std::chrono::milliseconds WaitOf(const HttpRequest& request) {
  const auto wait = PreferredWait(request.Header("Prefer"));
  return wait ? std::chrono::seconds(*wait) : std::chrono::seconds(kMirrorTimeout);
}

HttpResponse MirrorError(const Status& status, std::string_view not_found) {
  HttpResponse response = OciErrorOf(status, not_found);
  if (status.code() == StatusCode::kDeadlineExceeded) {
    response.status = 503;
    response.headers.emplace_back("Retry-After", "1");
  } else if (status.code() == StatusCode::kUnauthenticated ||
             status.code() == StatusCode::kPermissionDenied) {
    // The mirror's trouble, not the caller's.
    response = OciError(502, "DENIED", status.message());
  }
  return response;
}

}  // namespace

HttpResponse OciError(int status, std::string_view code, std::string_view message) {
  HttpResponse response = Json({{"errors", {{{"code", code}, {"message", message}}}}});
  response.status = status;
  return response;
}

HttpResponse OciErrorOf(const Status& status, std::string_view not_found) {
  switch (status.code()) {
    case StatusCode::kNotFound:
    case StatusCode::kDataLoss: return OciError(404, not_found, status.message());
    case StatusCode::kFailedPrecondition: {
      HttpResponse response = OciError(503, "TOOMANYREQUESTS", status.message());
      response.headers.emplace_back("Retry-After", "1");
      return response;
    }
    case StatusCode::kUnauthenticated: {
      HttpResponse response = OciError(401, "UNAUTHORIZED", status.message());
      response.headers.emplace_back("WWW-Authenticate", "Basic realm=\"selvedge\"");
      return response;
    }
    case StatusCode::kPermissionDenied: return OciError(403, "DENIED", status.message());
    case StatusCode::kResourceExhausted: return OciError(507, "DENIED", status.message());
    default: return OciError(HttpStatusOf(status.code()), "UNSUPPORTED", status.message());
  }
}

std::optional<HttpResponse> OciServerCore::Refuse(const HttpRequest& request, OciAction action,
                                                  const OciRoute& route) const {
  if (!route.name.empty() && !IsRepositoryName(route.name)) {
    return OciError(400, "NAME_INVALID", "that is no name of a repository");
  }
  const Status allowed = options_.authorize(CallerOf(request), action, route.name);
  if (allowed.ok()) return std::nullopt;
  return OciErrorOf(allowed, "NAME_UNKNOWN");
}

void OciServerCore::Get(const HttpRequest& request, const HttpReply& reply) {
  const OciRoute route = ParseOciRoute(request.path);
  if (route.kind == Kind::kNone) {
    return reply(OciError(404, "NAME_UNKNOWN", "there is nothing of a registry at this path"));
  }
  const OciAction action = route.kind == Kind::kUpload || route.kind == Kind::kUploads
                               ? OciAction::kPush
                           : route.name.empty() ? OciAction::kList
                                                : OciAction::kPull;
  if (auto refused = Refuse(request, action, route)) return reply(*std::move(refused));
  switch (route.kind) {
    case Kind::kBase: {
      HttpResponse response = Json(json::object());
      response.headers.emplace_back("Docker-Distribution-Api-Version", "registry/2.0");
      return reply(std::move(response));
    }
    case Kind::kCatalog: return reply(GetCatalog(request));
    case Kind::kTags: return reply(GetTags(request, route));
    case Kind::kReferrers: return reply(GetReferrers(request, route));
    case Kind::kUpload: return reply(GetUpload(route));
    case Kind::kManifest: return GetManifest(request, route, reply);
    case Kind::kBlob: return GetBlob(request, route, reply);
    case Kind::kUploads:
    case Kind::kNone: break;
  }
  reply(OciError(405, "UNSUPPORTED", "an upload begins with POST"));
}

HttpResponse OciServerCore::GetCatalog(const HttpRequest& request) {
  const auto page = PageOf(request);
  if (!page) return OciError(400, "UNSUPPORTED", page.error().message());
  auto found = store_.Repositories(page->after, std::min(page->limit + 1, kMaxPage));
  if (!found) return OciErrorOf(found.error(), "NAME_UNKNOWN");
  HttpResponse link;
  AddLink("/v2/_catalog", *page, &*found, &link);
  HttpResponse response = Json({{"repositories", *found}});
  response.headers = std::move(link.headers);
  return response;
}

HttpResponse OciServerCore::GetTags(const HttpRequest& request, const OciRoute& route) {
  const auto page = PageOf(request);
  if (!page) return OciError(400, "UNSUPPORTED", page.error().message());
  auto found = store_.Tags(route.name, page->after, std::min(page->limit + 1, kMaxPage));
  if (!found) return OciErrorOf(found.error(), "NAME_UNKNOWN");
  HttpResponse link;
  AddLink("/v2/" + route.name + "/tags/list", *page, &*found, &link);
  HttpResponse response = Json({{"name", route.name}, {"tags", *found}});
  response.headers = std::move(link.headers);
  return response;
}

HttpResponse OciServerCore::GetReferrers(const HttpRequest& request, const OciRoute& route) {
  if (!IsDigest(route.item)) return OciError(400, "DIGEST_INVALID", "that is no sha256 digest");
  const std::string type = QueryValue(request.query, "artifactType");
  auto found = store_.Referrers(route.name, route.item, type);
  if (!found) return OciErrorOf(found.error(), "NAME_UNKNOWN");
  Manifest index;
  index.media_type = kIndexType;
  index.is_index = true;
  index.manifests = *std::move(found);
  HttpResponse response;
  response.content_type = kIndexType;
  response.body = WriteManifest(index);
  if (!type.empty()) response.headers.emplace_back("OCI-Filters-Applied", "artifactType");
  return response;
}

HttpResponse OciServerCore::GetUpload(const OciRoute& route) {
  const auto offset = store_.UploadOffset(route.name, route.item);
  if (!offset) return OciErrorOf(offset.error(), "BLOB_UPLOAD_UNKNOWN");
  HttpResponse response;
  response.status = 204;
  response.headers = {
      {"Location", "/v2/" + route.name + "/blobs/uploads/" + route.item},
      {"Docker-Upload-UUID", route.item},
      {"Range", "0-" + std::to_string(*offset == 0 ? 0 : *offset - 1)},
  };
  return response;
}

HttpResponse OciServerCore::AnswerManifest(const HttpRequest& request, const OciRoute& route) {
  auto manifest = store_.GetManifest(route.name, route.item);
  if (!manifest) return OciErrorOf(manifest.error(), "MANIFEST_UNKNOWN");
  HttpResponse response;
  response.content_type = std::move(manifest->media_type);
  response.body = std::move(manifest->bytes);
  response.headers = {{"Docker-Content-Digest", manifest->digest},
                      {"ETag", "\"" + manifest->digest + "\""}};
  if (request.method != "HEAD") bytes_sent += response.body.size();
  return response;
}

HttpResponse OciServerCore::AnswerBlob(const HttpRequest& request, const OciRoute& route) {
  const auto found = store_.FindIn(route.name, route.item);
  if (!found) return OciErrorOf(found.error(), "BLOB_UNKNOWN");
  const auto path = store_.Path(route.item);
  if (!path) return OciErrorOf(path.error(), "BLOB_UNKNOWN");
  auto file = HttpFile::Open(*path);
  if (!file) return OciErrorOf(file.error(), "BLOB_UNKNOWN");
  HttpResponse response = AnswerWithFile(request, *std::move(file), "application/octet-stream",
                                         "\"" + route.item + "\"");
  if (response.status == 416) {
    HttpResponse refusal = OciError(416, "SIZE_INVALID", "the range is not within the blob");
    refusal.headers = std::move(response.headers);
    return refusal;
  }
  response.headers.emplace_back("Docker-Content-Digest", route.item);
  if (request.method != "HEAD") bytes_sent += response.file_length;
  return response;
}

void OciServerCore::GetManifest(const HttpRequest& request, const OciRoute& route,
                                const HttpReply& reply) {
  if (!IsDigest(route.item) && !IsTag(route.item)) {
    return reply(OciError(404, "MANIFEST_UNKNOWN", "that is neither a tag nor a sha256 digest"));
  }
  if (options_.mirror == nullptr) return reply(AnswerManifest(request, route));
  options_.mirror->WantManifest(
      route.name, route.item, WaitOf(request),
      [self = shared_from_this(), request, route, reply](const Status& status) {
        reply(status.ok() ? self->AnswerManifest(request, route)
                          : MirrorError(status, "MANIFEST_UNKNOWN"));
      });
}

void OciServerCore::GetBlob(const HttpRequest& request, const OciRoute& route,
                            const HttpReply& reply) {
  if (!IsDigest(route.item)) {
    return reply(OciError(404, "BLOB_UNKNOWN", "that is no sha256 digest"));
  }
  if (options_.mirror == nullptr) return reply(AnswerBlob(request, route));
  options_.mirror->WantBlob(
      route.name, route.item, WaitOf(request),
      [self = shared_from_this(), request, route, reply](const Status& status) {
        reply(status.ok() ? self->AnswerBlob(request, route) : MirrorError(status, "BLOB_UNKNOWN"));
      });
}

void OciServerCore::Delete(const HttpRequest& request, const HttpReply& reply) {
  const OciRoute route = ParseOciRoute(request.path);
  const OciAction action = route.kind == Kind::kUpload ? OciAction::kPush : OciAction::kDelete;
  if (auto refused = Refuse(request, action, route)) return reply(*std::move(refused));
  Status status;
  std::string_view not_found = "NAME_UNKNOWN";
  HttpResponse response;
  response.status = 202;
  if (options_.mirror != nullptr) {
    return reply(OciError(405, "UNSUPPORTED", "this is a mirror; delete it upstream"));
  }
  if (route.kind == Kind::kManifest) {
    not_found = "MANIFEST_UNKNOWN";
    status = IsDigest(route.item) ? store_.DeleteManifest(route.name, route.item)
                                  : store_.DeleteTag(route.name, route.item);
  } else if (route.kind == Kind::kBlob) {
    not_found = "BLOB_UNKNOWN";
    status = store_.Unlink(route.name, route.item);
  } else if (route.kind == Kind::kUpload) {
    not_found = "BLOB_UPLOAD_UNKNOWN";
    response.status = 204;
    auto upload = store_.ContinueUpload(route.name, route.item);
    if (upload) {
      (*upload)->Cancel();
    } else {
      status = std::move(upload).error();
    }
  } else {
    return reply(OciError(405, "UNSUPPORTED", "this cannot be deleted"));
  }
  reply(status.ok() ? response : OciErrorOf(status, not_found));
}

OciServer::OciServer(ContentStore* store, OciServerOptions options)
    : core_(std::make_shared<OciServerCore>(store, std::move(options))) {}
OciServer::~OciServer() = default;

void OciServer::Register(HttpServer* server) {
  const auto core = core_;
  HttpRouteOptions read;
  read.reply_timeout = kReadTimeout;
  if (core->options().mirror != nullptr) read.reply_timeout = kMirrorTimeout;
  for (const char* method : {"GET", "HEAD"}) {
    server->HandlePrefix(
        method, "/v2/",
        [core](const HttpRequest& request, const HttpReply& reply) { core->Get(request, reply); },
        read);
  }
  server->HandleLater("GET", "/v2", [core](const HttpRequest& request, const HttpReply& reply) {
    core->Get(request, reply);
  });
  server->HandlePrefix(
      "DELETE", "/v2/",
      [core](const HttpRequest& request, const HttpReply& reply) { core->Delete(request, reply); });
  HttpRouteOptions write;
  write.reply_timeout = kCommitTimeout;
  for (const char* method : {"POST", "PATCH", "PUT"}) {
    server->HandleUpload(
        method, "/v2/", [core](const HttpRequest& request) { return core->Send(request); }, write);
  }
}

std::uint64_t OciServer::bytes_sent() const {
  return core_->bytes_sent;
}

std::uint64_t OciServer::bytes_received() const {
  return core_->bytes_received;
}

}  // namespace selvedge
