#include "registry/oci_route.h"

#include <algorithm>
#include <charconv>

#include "registry/oci_challenge.h"

namespace selvedge {
namespace {

constexpr std::size_t kMaxToken = 4096;
constexpr int kMaxWait = 3600;

template <typename T>
bool ReadNumber(std::string_view text, T* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size();
}

// "NAME/word/rest" into NAME and rest, at the last "/word/".
bool Split(std::string_view path, std::string_view word, OciRoute* route) {
  const std::string middle = "/" + std::string(word) + "/";
  const std::size_t at = path.rfind(middle);
  if (at == std::string_view::npos || at == 0) return false;
  const std::string_view item = path.substr(at + middle.size());
  if (item.find('/') != std::string_view::npos) return false;
  route->name = path.substr(0, at);
  route->item = item;
  return true;
}

}  // namespace

OciRoute ParseOciRoute(std::string_view path) {
  using Kind = OciRoute::Kind;
  OciRoute route;
  if (path == "/v2" || path == "/v2/") return {.kind = Kind::kBase, .name = {}, .item = {}};
  if (!path.starts_with("/v2/")) return route;
  path.remove_prefix(4);
  if (path == "_catalog") return {.kind = Kind::kCatalog, .name = {}, .item = {}};
  if (Split(path, "blobs/uploads", &route)) {
    route.kind = route.item.empty() ? Kind::kUploads : Kind::kUpload;
  } else if (path.ends_with("/blobs/uploads")) {
    route.name = path.substr(0, path.size() - std::string_view("/blobs/uploads").size());
    route.kind = Kind::kUploads;
  } else if (Split(path, "manifests", &route)) {
    route.kind = Kind::kManifest;
  } else if (Split(path, "blobs", &route)) {
    route.kind = Kind::kBlob;
  } else if (Split(path, "referrers", &route)) {
    route.kind = Kind::kReferrers;
  } else if (Split(path, "tags", &route)) {
    route.kind = route.item == "list" ? Kind::kTags : Kind::kNone;
  }
  return route;
}

std::optional<ChunkRange> ParseChunkRange(std::string_view header) {
  const std::size_t dash = header.find('-');
  ChunkRange range;
  if (dash == std::string_view::npos || !ReadNumber(header.substr(0, dash), &range.first) ||
      !ReadNumber(header.substr(dash + 1), &range.last) || range.last < range.first) {
    return std::nullopt;
  }
  return range;
}

OciCaller CallerOf(const HttpRequest& request) {
  OciCaller caller{
      .token = {}, .peer_name = request.peer_name, .peer_fingerprint = request.peer_fingerprint};
  const std::string_view header = request.Header("Authorization");
  const std::size_t space = header.find(' ');
  if (space == std::string_view::npos || header.size() > kMaxToken) return caller;
  std::string scheme(header.substr(0, space));
  for (char& c : scheme) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
  std::string_view value = header.substr(space);
  while (value.starts_with(' ')) value.remove_prefix(1);
  if (scheme == "bearer") {
    caller.token = value;
  } else if (scheme == "basic") {
    const auto decoded = FromBase64(value);
    const std::size_t colon = decoded ? decoded->find(':') : std::string::npos;
    if (colon != std::string::npos) caller.token = decoded->substr(colon + 1);
  }
  return caller;
}

std::optional<int> PreferredWait(std::string_view header) {
  while (!header.empty()) {
    const std::size_t end = std::min(header.find_first_of(",;"), header.size());
    std::string_view one = header.substr(0, end);
    header.remove_prefix(std::min(end + 1, header.size()));
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    int seconds = 0;
    if (one.starts_with("wait=") && ReadNumber(one.substr(5), &seconds) && seconds >= 0) {
      return std::min(seconds, kMaxWait);
    }
  }
  return std::nullopt;
}

}  // namespace selvedge
