#include "registry/oci_challenge.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace selvedge {
namespace {

constexpr std::size_t kMaxHeader = 4096;
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool IsTokenChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// Reads from the front of `rest`.
std::string_view TakeToken(std::string_view* rest) {
  const auto end = std::ranges::find_if_not(*rest, IsTokenChar);
  const auto size = static_cast<std::size_t>(end - rest->begin());
  const std::string_view token = rest->substr(0, size);
  rest->remove_prefix(size);
  return token;
}

void SkipSpaces(std::string_view* rest) {
  while (!rest->empty() && (rest->front() == ' ' || rest->front() == '\t')) rest->remove_prefix(1);
}

std::optional<std::string> TakeValue(std::string_view* rest) {
  if (rest->empty() || rest->front() != '"') return std::string(TakeToken(rest));
  rest->remove_prefix(1);
  std::string value;
  while (!rest->empty()) {
    char c = rest->front();
    rest->remove_prefix(1);
    if (c == '"') return value;
    if (c == '\\') {
      if (rest->empty()) return std::nullopt;
      c = rest->front();
      rest->remove_prefix(1);
    }
    value += c;
  }
  return std::nullopt;
}

}  // namespace

std::string OciChallenge::Value(const std::string& name) const {
  const auto found = values.find(name);
  return found == values.end() ? std::string() : found->second;
}

std::optional<OciChallenge> ParseChallenge(std::string_view header) {
  if (header.size() > kMaxHeader) return std::nullopt;
  SkipSpaces(&header);
  OciChallenge challenge{.scheme = Lower(TakeToken(&header)), .values = {}};
  if (challenge.scheme.empty()) return std::nullopt;
  for (;;) {
    SkipSpaces(&header);
    if (header.empty()) return challenge;
    const std::string name = Lower(TakeToken(&header));
    SkipSpaces(&header);
    // The next challenge begins: a word with no "=" after it.
    if (name.empty() || header.empty() || header.front() != '=') return challenge;
    header.remove_prefix(1);
    SkipSpaces(&header);
    auto value = TakeValue(&header);
    if (!value) return std::nullopt;
    challenge.values.emplace(name, *std::move(value));
    SkipSpaces(&header);
    if (!header.empty() && header.front() == ',') {
      header.remove_prefix(1);
    } else if (!header.empty()) {
      return std::nullopt;
    }
  }
}

std::string Base64(std::string_view bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8 | (k < have ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += k <= have ? kBase64[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

std::optional<std::string> FromBase64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  std::uint32_t group = 0;
  int bits = 0;
  for (const char c : text) {
    const std::size_t value = kBase64.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    group = group << 6 | static_cast<std::uint32_t>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out += static_cast<char>(group >> bits & 255);
    }
  }
  return out;
}

std::string BasicAuthorization(std::string_view user, std::string_view password) {
  return "Basic " + Base64(std::string(user) + ":" + std::string(password));
}

}  // namespace selvedge
