#include "registry/reference.h"

#include <algorithm>
#include <string>

#include "base/utf8.h"

namespace selvedge {
namespace {

constexpr std::size_t kMaxRepository = 255;
constexpr std::size_t kMaxTag = 128;
constexpr std::size_t kDigestHex = 64;
constexpr std::string_view kAlgorithm = "sha256:";

bool IsLower(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool IsHex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool IsSegment(std::string_view text) {
  std::size_t i = 0;
  while (true) {
    const std::size_t begin = i;
    while (i < text.size() && IsLower(text[i])) ++i;
    if (i == begin) return false;
    if (i == text.size()) return true;
    const char separator = text[i];
    const std::size_t from = i;
    while (i < text.size() && text[i] == separator) ++i;
    const std::size_t length = i - from;
    const bool good =
        (separator == '.' && length == 1) || (separator == '_' && length <= 2) || separator == '-';
    if (!good) return false;
  }
}

bool IsHost(std::string_view text) {
  return text == "localhost" || text.find('.') != std::string_view::npos ||
         text.find(':') != std::string_view::npos;
}

bool IsHostName(std::string_view text) {
  return !text.empty() && text.size() <= 255 && std::ranges::all_of(text, [](char c) {
    return IsLower(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == ':' || c == '[' ||
           c == ']';
  });
}

// For messages: what was given, short and on one line.
std::string Quoted(std::string_view text) {
  std::string shown = "\"";
  for (const char c : ValidUtf8(text.substr(0, 100))) {
    shown += (static_cast<unsigned char>(c) < ' ' || c == 127) ? '?' : c;
  }
  return shown + (text.size() > 100 ? "…\"" : "\"");
}

}  // namespace

bool IsDigest(std::string_view text) {
  return text.starts_with(kAlgorithm) && text.size() == kAlgorithm.size() + kDigestHex &&
         std::ranges::all_of(text.substr(kAlgorithm.size()), IsHex);
}

bool IsRepositoryName(std::string_view text) {
  if (text.empty() || text.size() > kMaxRepository) return false;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('/', at), text.size());
    if (!IsSegment(text.substr(at, end - at))) return false;
    at = end + 1;
  }
  return true;
}

bool IsTag(std::string_view text) {
  if (text.empty() || text.size() > kMaxTag || text[0] == '.' || text[0] == '-') return false;
  return std::ranges::all_of(text, [](char c) {
    return IsLower(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '-';
  });
}

std::string Reference::ToString() const {
  std::string text = host.empty() ? repository : host + "/" + repository;
  if (!tag.empty()) text += ":" + tag;
  if (!digest.empty()) text += "@" + digest;
  return text;
}

Result<Reference> ParseReference(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return Err(InvalidArgumentError(Quoted(text) +
                                    " names nothing in a registry: " + std::string(why) +
                                    "; expected PATH:TAG, such as safety/person-detector:1.0"));
  };
  Reference reference;
  std::string_view rest = text;
  if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
    reference.digest = rest.substr(at + 1);
    if (!IsDigest(reference.digest)) return wrong("after @ comes sha256: and 64 digits 0-9 a-f");
    rest = rest.substr(0, at);
  }
  if (const std::size_t slash = rest.find('/');
      slash != std::string_view::npos && IsHost(rest.substr(0, slash))) {
    reference.host = rest.substr(0, slash);
    if (!IsHostName(reference.host)) return wrong("the host is none");
    rest = rest.substr(slash + 1);
  }
  if (const std::size_t colon = rest.rfind(':'); colon != std::string_view::npos) {
    reference.tag = rest.substr(colon + 1);
    if (!IsTag(reference.tag)) {
      return wrong("a tag is 1 to 128 letters, digits, '_', '.' or '-'");
    }
    rest = rest.substr(0, colon);
  }
  reference.repository = rest;
  if (!IsRepositoryName(rest)) {
    return wrong(
        "a name is of a-z, 0-9 and single '.', '_' or '-' between, in segments joined by '/'");
  }
  if (reference.tag.empty() && reference.digest.empty()) return wrong("the tag is missing");
  return reference;
}

}  // namespace selvedge
