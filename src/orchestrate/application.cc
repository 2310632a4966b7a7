#include "orchestrate/application.h"

#include <algorithm>
#include <array>

namespace selvedge {
namespace {

constexpr std::size_t kMaxRepository = 255;
constexpr std::size_t kMaxTag = 128;
constexpr std::string_view kPipelineScheme = "pipeline:";
constexpr std::string_view kSha256 = "sha256:";

bool IsLowerAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool IsAlphanumeric(char c) {
  return IsLowerAlphanumeric(c) || (c >= 'A' && c <= 'Z');
}

// One part of a repository's path: the OCI distribution specification, "Pulling manifests". Runs of
// separators are a '.', one or two '_', or any number of '-'.
bool IsPathComponent(std::string_view part) {
  if (part.empty() || !IsLowerAlphanumeric(part.front()) || !IsLowerAlphanumeric(part.back())) {
    return false;
  }
  for (std::size_t i = 0; i < part.size(); ++i) {
    const char c = part[i];
    if (IsLowerAlphanumeric(c)) continue;
    std::size_t run = 1;
    while (i + run < part.size() && part[i + run] == c) ++run;
    if (!(c == '-' || (c == '.' && run == 1) || (c == '_' && run <= 2))) return false;
    i += run - 1;
    if (!IsLowerAlphanumeric(part[i + 1])) return false;
  }
  return true;
}

bool IsRepository(std::string_view path) {
  if (path.size() > kMaxRepository) return false;
  while (true) {
    const std::size_t slash = path.find('/');
    if (!IsPathComponent(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

bool IsTag(std::string_view tag) {
  return !tag.empty() && tag.size() <= kMaxTag && (IsAlphanumeric(tag[0]) || tag[0] == '_') &&
         std::ranges::all_of(
             tag, [](char c) { return IsAlphanumeric(c) || c == '_' || c == '.' || c == '-'; });
}

bool IsSha256(std::string_view digest) {
  return digest.starts_with(kSha256) && digest.size() == kSha256.size() + 64 &&
         std::ranges::all_of(digest.substr(kSha256.size()), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// A name or address and perhaps a port; in brackets for an IPv6 address.
bool IsHost(std::string_view host) {
  return !host.empty() && host.size() <= kMaxRepository && host[0] != '-' && host[0] != '.' &&
         std::ranges::all_of(host, [](char c) {
           return IsAlphanumeric(c) || c == '.' || c == '-' || c == ':' || c == '[' || c == ']';
         });
}

}  // namespace

std::string Image::QualifiedRepository() const {
  return host.empty() ? repository : host + "/" + repository;
}

bool ParseImage(std::string_view text, Image* image, std::string* why) {
  *image = {};
  image->text = std::string(text);
  if (text.starts_with(kPipelineScheme)) {
    image->kind = ImageKind::kPipeline;
    text.remove_prefix(kPipelineScheme.size());
  }
  if (const std::size_t at = text.find('@'); at != std::string_view::npos) {
    image->digest = std::string(text.substr(at + 1));
    text = text.substr(0, at);
    if (!IsSha256(image->digest)) {
      *why = "after @ belongs sha256: and 64 hexadecimal digits";
      return false;
    }
  }
  // As every container tool reads it: a first part with a dot or a colon is a host.
  const std::size_t slash = text.find('/');
  const std::string_view first = text.substr(0, slash);
  if (slash != std::string_view::npos &&
      (first.find_first_of(".:[") != std::string_view::npos || first == "localhost")) {
    if (image->kind == ImageKind::kPipeline) {
      *why = "a pipeline comes from the fleet's registry: write pipeline:PATH:TAG without a host";
      return false;
    }
    if (!IsHost(first)) {
      *why = "the registry's host is none";
      return false;
    }
    image->host = std::string(first);
    text.remove_prefix(slash + 1);
  }
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos && image->digest.empty()) {
    image->tag = std::string(text.substr(colon + 1));
    if (!IsTag(image->tag)) {
      *why = "a tag is 1 to 128 letters, digits, '_', '.' and '-'";
      return false;
    }
  } else if (image->digest.empty()) {
    *why = "it needs a tag (PATH:TAG) or a digest (PATH@sha256:...)";
    return false;
  }
  image->repository = std::string(text.substr(0, colon));
  if (!IsRepository(image->repository)) {
    *why = "a path is lower-case letters and digits, joined by '.', '_', '-' and '/'";
    return false;
  }
  return true;
}

const Image* Microservice::ImageFor(std::string_view arch) const {
  for (const std::string_view key : {arch, kAnyArch}) {
    if (const auto it = images.find(std::string(key)); it != images.end()) return &it->second;
  }
  return nullptr;
}

std::string_view ConstraintOperatorName(ConstraintOperator op) {
  static constexpr std::array<std::string_view, 10> kNames = {
      "==", "!=", "in", "notin", "exists", "notexists", "<", "<=", ">", ">="};
  return kNames[static_cast<std::size_t>(op)];
}

}  // namespace selvedge
