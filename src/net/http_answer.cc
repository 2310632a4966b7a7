// The answers that several handlers give in the same way: files, errors, bodies in one piece.

#include <nlohmann/json.hpp>
#include <utility>

#include "net/http_message.h"
#include "net/http_server.h"

namespace selvedge {
namespace {

class Collector : public HttpBodySink {
 public:
  Collector(std::size_t max_bytes, std::function<void(std::string, HttpReply)> done)
      : max_bytes_(max_bytes), done_(std::move(done)) {}

  Status Write(std::string_view bytes) override {
    if (bytes.size() > max_bytes_ - body_.size()) {
      return ResourceExhaustedError("the request's body is larger than " +
                                    std::to_string(max_bytes_) + " bytes");
    }
    body_.append(bytes);
    return OkStatus();
  }
  void Finish(const Status& status, HttpReply reply) override {
    if (status.ok()) {
      done_(std::move(body_), std::move(reply));
    } else {
      reply(HttpErrorResponse(413, status.message()));
    }
  }
  void Abort() override {}

 private:
  const std::size_t max_bytes_;
  const std::function<void(std::string, HttpReply)> done_;
  std::string body_;
};

// Whether `etag` is among those of an If-None-Match: weak ones count too (RFC 9110, 13.1.2).
bool NamesTag(std::string_view header, std::string_view etag) {
  if (etag.empty() || header.empty()) return false;
  if (header == "*") return true;
  while (!header.empty()) {
    const std::size_t end = std::min(header.find(','), header.size());
    std::string_view tag = header.substr(0, end);
    header.remove_prefix(std::min(end + 1, header.size()));
    while (tag.starts_with(' ')) tag.remove_prefix(1);
    while (tag.ends_with(' ')) tag.remove_suffix(1);
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == etag) return true;
  }
  return false;
}

}  // namespace

std::unique_ptr<HttpBodySink> CollectBody(std::size_t max_bytes,
                                          std::function<void(std::string body, HttpReply)> done) {
  return std::make_unique<Collector>(max_bytes, std::move(done));
}

HttpResponse AnswerWithFile(const HttpRequest& request, std::shared_ptr<const HttpFile> file,
                            std::string_view content_type, std::string_view etag) {
  HttpResponse response;
  response.headers.emplace_back("Accept-Ranges", "bytes");
  if (!etag.empty()) response.headers.emplace_back("ETag", etag);
  if (NamesTag(request.Header("If-None-Match"), etag)) {
    response.status = 304;
    return response;
  }
  const std::uint64_t size = file->size();
  std::string_view wanted = request.Header("Range");
  // A range of another version than the client has the beginning of: all of this one.
  const std::string_view condition = request.Header("If-Range");
  if (!condition.empty() && condition != etag) wanted = {};
  const auto range = ParseRange(wanted, size);
  if (!range) {
    HttpResponse refusal = HttpErrorResponse(416, range.error().message());
    refusal.headers.emplace_back("Content-Range", "bytes */" + std::to_string(size));
    return refusal;
  }
  response.content_type = content_type;
  response.file_length = size;
  if (*range) {
    response.status = 206;
    response.file_offset = (*range)->offset;
    response.file_length = (*range)->length;
    response.headers.emplace_back(
        "Content-Range", "bytes " + std::to_string(response.file_offset) + "-" +
                             std::to_string(response.file_offset + response.file_length - 1) + "/" +
                             std::to_string(size));
  }
  response.file = std::move(file);
  return response;
}

int HttpStatusOf(StatusCode code) {
  switch (code) {
    case StatusCode::kOk: return 200;
    case StatusCode::kCancelled: return 503;
    case StatusCode::kInvalidArgument: return 400;
    case StatusCode::kDeadlineExceeded: return 504;
    case StatusCode::kNotFound: return 404;
    case StatusCode::kAlreadyExists: return 409;
    case StatusCode::kAborted: return 409;
    case StatusCode::kPermissionDenied: return 403;
    case StatusCode::kResourceExhausted: return 429;
    case StatusCode::kFailedPrecondition: return 412;
    case StatusCode::kOutOfRange: return 416;
    case StatusCode::kUnimplemented: return 501;
    case StatusCode::kUnavailable: return 503;
    case StatusCode::kUnauthenticated: return 401;
    case StatusCode::kUnknown:
    case StatusCode::kInternal:
    case StatusCode::kDataLoss: return 500;
  }
  return 500;
}

HttpResponse HttpJsonError(const Status& status) {
  HttpResponse response;
  response.status = HttpStatusOf(status.code());
  response.content_type = "application/json";
  const nlohmann::json body = {
      {"error", {{"code", StatusCodeName(status.code())}, {"message", status.message()}}}};
  // What is quoted in a message may be any bytes.
  response.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  return response;
}

}  // namespace selvedge
