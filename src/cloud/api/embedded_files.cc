#include "cloud/api/embedded_files.h"

#include <algorithm>

#include "cloud/api/api.h"

namespace selvedge {
namespace {

constexpr std::string_view kDescriptionPath = "/api/openapi.json";

// Nothing from elsewhere, nothing inline but styles that the charts set, no frames around us.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: "
    "data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

bool Accepts(std::string_view accept_encoding, std::string_view coding) {
  while (!accept_encoding.empty()) {
    const std::size_t comma = std::min(accept_encoding.find(','), accept_encoding.size());
    std::string_view item = accept_encoding.substr(0, comma);
    accept_encoding.remove_prefix(std::min(comma + 1, accept_encoding.size()));
    item.remove_prefix(std::min(item.find_first_not_of(' '), item.size()));
    if (!item.starts_with(coding)) continue;
    item.remove_prefix(coding.size());
    return item.find("q=0") == std::string_view::npos ||
           item.find("q=0.") != std::string_view::npos;
  }
  return false;
}

}  // namespace

const EmbeddedFile* FindEmbedded(std::string_view path) {
  const auto files = EmbeddedFiles();
  const auto it = std::ranges::find(files, path, &EmbeddedFile::path);
  return it == files.end() ? nullptr : &*it;
}

std::string_view Api::Description() {
  const EmbeddedFile* file = FindEmbedded(kDescriptionPath);
  return file == nullptr ? std::string_view() : file->content;
}

HttpResponse AnswerWithDashboard(const HttpRequest& request) {
  // A plain literal here would make the whole a temporary string, and the view would outlive it.
  const std::string_view path =
      request.path == "/" ? std::string_view("/index.html") : std::string_view(request.path);
  const EmbeddedFile* file = FindEmbedded(path);
  if (file == nullptr || path == kDescriptionPath) {
    return {.status = 404, .body = "There is nothing here. The dashboard is at /\n"};
  }
  HttpResponse response{.content_type = std::string(file->content_type)};
  response.headers = {{"ETag", std::string(file->etag)},
                      {"Cache-Control", "no-cache"},
                      {"Vary", "Accept-Encoding"},
                      {"Content-Security-Policy", std::string(kPolicy)},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cross-Origin-Opener-Policy", "same-origin"},
                      {"Cross-Origin-Resource-Policy", "same-origin"}};
  if (request.Header("If-None-Match") == file->etag) {
    response.status = 304;
    return response;
  }
  const bool packed = !file->gzip.empty() && Accepts(request.Header("Accept-Encoding"), "gzip");
  if (packed) response.headers.emplace_back("Content-Encoding", "gzip");
  response.body = std::string(packed ? file->gzip : file->content);
  return response;
}

}  // namespace selvedge
