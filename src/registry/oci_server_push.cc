// The writing half of a registry: uploads and manifests.

#include <utility>

#include "registry/oci_server_core.h"
#include "registry/reference.h"

namespace selvedge {
namespace {

using Kind = OciRoute::Kind;

std::string UploadLocation(const OciRoute& route, std::string_view id) {
  return "/v2/" + route.name + "/blobs/uploads/" + std::string(id);
}

HttpResponse UploadAccepted(int status, const OciRoute& route, const Upload& upload) {
  HttpResponse response;
  response.status = status;
  const std::uint64_t offset = upload.offset();
  response.headers = {{"Location", UploadLocation(route, upload.id())},
                      {"Docker-Upload-UUID", upload.id()},
                      {"Range", "0-" + std::to_string(offset == 0 ? 0 : offset - 1)}};
  return response;
}

HttpResponse BlobCreated(const OciRoute& route, const std::string& digest) {
  HttpResponse response;
  response.status = 201;
  response.headers = {{"Location", "/v2/" + route.name + "/blobs/" + digest},
                      {"Docker-Content-Digest", digest}};
  return response;
}

HttpResponse WrongDigest() {
  return OciError(400, "DIGEST_INVALID", "a digest is sha256: and 64 digits 0-9 a-f");
}

// Takes a chunk of a blob, or the last one, which `digest` says.
class ChunkSink : public HttpBodySink {
 public:
  ChunkSink(std::shared_ptr<OciServerCore> core, OciRoute route, std::unique_ptr<Upload> upload,
            std::string digest, std::optional<std::uint64_t> end)
      : core_(std::move(core)),
        route_(std::move(route)),
        upload_(std::move(upload)),
        digest_(std::move(digest)),
        end_(end) {}

  Status Write(std::string_view bytes) override {
    core_->bytes_received += bytes.size();
    if (end_ && upload_->offset() + bytes.size() > *end_) {
      return InvalidArgumentError("more was sent than Content-Range says");
    }
    return upload_->Write(bytes);
  }

  void Finish(const Status& status, HttpReply reply) override {
    if (!status.ok()) {
      upload_.reset();  // before the client hears, so that its next request finds nobody at it
      if (status.code() == StatusCode::kInvalidArgument) {
        return reply(OciError(400, "SIZE_INVALID", status.message()));
      }
      return reply(OciErrorOf(status, "BLOB_UPLOAD_UNKNOWN"));
    }
    if (digest_.empty()) {
      HttpResponse response = UploadAccepted(202, route_, *upload_);
      upload_.reset();
      return reply(std::move(response));
    }
    const auto blob = upload_->Commit(digest_);
    upload_.reset();
    if (blob) return reply(BlobCreated(route_, blob->digest));
    if (blob.error().code() == StatusCode::kInvalidArgument) {
      return reply(OciError(400, "DIGEST_INVALID", blob.error().message()));
    }
    reply(OciErrorOf(blob.error(), "BLOB_UPLOAD_UNKNOWN"));
  }

  // What arrived stays, to be continued.
  void Abort() override { upload_.reset(); }

 private:
  std::shared_ptr<OciServerCore> core_;
  OciRoute route_;
  std::unique_ptr<Upload> upload_;
  std::string digest_;
  std::optional<std::uint64_t> end_;
};

}  // namespace

HttpUpload OciServerCore::Send(const HttpRequest& request) {
  const OciRoute route = ParseOciRoute(request.path);
  if (auto refused = Refuse(request, OciAction::kPush, route)) return *std::move(refused);
  if (options_.mirror != nullptr) {
    return OciError(405, "UNSUPPORTED", "this is a mirror; push to the registry behind it");
  }
  if (request.method == "POST" && route.kind == Kind::kUploads) return BeginUpload(request, route);
  if (request.method != "POST" && route.kind == Kind::kUpload) {
    return ContinueUpload(request, route);
  }
  if (request.method == "PUT" && route.kind == Kind::kManifest) return PutManifest(request, route);
  return OciError(405, "UNSUPPORTED", "nothing can be sent to this path");
}

HttpUpload OciServerCore::BeginUpload(const HttpRequest& request, const OciRoute& route) {
  if (const std::string mount = QueryValue(request.query, "mount"); !mount.empty()) {
    const std::string from = QueryValue(request.query, "from");
    if (!IsDigest(mount)) return WrongDigest();
    // Where it cannot be mounted the client sends it: an upload begins.
    if (IsRepositoryName(from) &&
        options_.authorize(CallerOf(request), OciAction::kPull, from).ok() &&
        store_.Mount(route.name, from, mount).ok()) {
      return BlobCreated(route, mount);
    }
  }
  const std::string digest = QueryValue(request.query, "digest");
  if (!digest.empty() && !IsDigest(digest)) return WrongDigest();
  auto upload = store_.BeginUpload(route.name);
  if (!upload) return OciErrorOf(upload.error(), "BLOB_UPLOAD_UNKNOWN");
  if (digest.empty()) return UploadAccepted(202, route, **upload);
  return std::make_unique<ChunkSink>(shared_from_this(), route, *std::move(upload), digest,
                                     std::nullopt);
}

HttpUpload OciServerCore::ContinueUpload(const HttpRequest& request, const OciRoute& route) {
  const std::string digest = QueryValue(request.query, "digest");
  if (request.method == "PUT" ? !IsDigest(digest) : !digest.empty()) return WrongDigest();
  auto upload = store_.ContinueUpload(route.name, route.item);
  if (!upload) return OciErrorOf(upload.error(), "BLOB_UPLOAD_UNKNOWN");
  std::optional<std::uint64_t> end;
  if (const std::string_view header = request.Header("Content-Range"); !header.empty()) {
    const auto range = ParseChunkRange(header);
    if (!range || range->first != (*upload)->offset()) {
      HttpResponse response = UploadAccepted(416, route, **upload);
      response.body =
          OciError(416, "BLOB_UPLOAD_INVALID", "the chunk does not begin where the upload ends")
              .body;
      response.content_type = "application/json";
      return response;
    }
    end = range->last + 1;
  }
  return std::make_unique<ChunkSink>(shared_from_this(), route, *std::move(upload), digest, end);
}

HttpUpload OciServerCore::PutManifest(const HttpRequest& request, const OciRoute& route) {
  std::string type(request.Header("Content-Type"));
  type = type.substr(0, type.find(';'));
  return CollectBody(kMaxManifestBytes, [self = shared_from_this(), route, type](
                                            const std::string& body, const HttpReply& reply) {
    self->bytes_received += body.size();
    reply(self->StoreManifest(route, type, body));
  });
}

HttpResponse OciServerCore::StoreManifest(const OciRoute& route, const std::string& type,
                                          std::string_view bytes) {
  const auto put = store_.PutManifest(route.name, route.item, type, bytes);
  if (!put) {
    if (put.error().code() == StatusCode::kInvalidArgument) {
      return OciError(400, IsDigest(route.item) ? "DIGEST_INVALID" : "MANIFEST_INVALID",
                      put.error().message());
    }
    return OciErrorOf(put.error(), "MANIFEST_BLOB_UNKNOWN");
  }
  if (options_.on_pushed && !IsDigest(route.item)) {
    options_.on_pushed(route.name, route.item, put->digest);
  }
  HttpResponse response;
  response.status = 201;
  response.headers = {{"Location", "/v2/" + route.name + "/manifests/" + put->digest},
                      {"Docker-Content-Digest", put->digest}};
  if (!put->subject.empty()) response.headers.emplace_back("OCI-Subject", put->subject);
  return response;
}

}  // namespace selvedge
