#include "trust/token.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/config.h"
#include "core/topic.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int ValueOf(char c) {
  const std::size_t place = kAlphabet.find(c);
  return place == std::string_view::npos ? -1 : static_cast<int>(place);
}

bool IsBase64Url(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return ValueOf(c) >= 0; });
}

bool IsHexDigest(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Status Bad(std::string_view what) {
  return InvalidArgumentError("this is no join token: " + std::string(what) +
                              "; copy it whole, as `selvedge token create` printed it");
}

// "https://HOST:PORT" with nothing that could mean another place than it seems to.
bool IsPlainUrl(std::string_view url) {
  constexpr std::string_view kScheme = "https://";
  if (!url.starts_with(kScheme) || url.size() > 300) return false;
  const std::string_view rest = url.substr(kScheme.size());
  return !rest.empty() && std::ranges::all_of(rest, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == ':' || c == '[' || c == ']';
  });
}

Status Check(const JoinToken& token) {
  if (!IsPlainUrl(token.url)) return Bad("its `url` is not of the form https://HOST:PORT");
  if (!IsHexDigest(token.ca_sha256)) return Bad("its `ca` is not 64 hexadecimal digits");
  if (token.id.empty() || token.id.size() > 64 || !IsBase64Url(token.id)) {
    return Bad("its `id` is missing or malformed");
  }
  if (token.secret.size() < 16 || token.secret.size() > 128 || !IsBase64Url(token.secret)) {
    return Bad("its `secret` is missing or malformed");
  }
  if (token.role != "device" && token.role != "gateway") {
    return Bad("its `role` is neither device nor gateway");
  }
  if (!IsNodeName(token.site)) return Bad("its `site` is not the name of a site");
  return OkStatus();
}

}  // namespace

std::string ToBase64Url(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() * 4 + 2) / 3);
  std::uint32_t bits = 0;
  int have = 0;
  for (const char c : bytes) {
    bits = (bits << 8) | static_cast<unsigned char>(c);
    for (have += 8; have >= 6; have -= 6) text += kAlphabet[(bits >> (have - 6)) & 63];
  }
  if (have > 0) text += kAlphabet[(bits << (6 - have)) & 63];
  return text;
}

Result<std::string> FromBase64Url(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  int have = 0;
  for (const char c : text) {
    const int value = ValueOf(c);
    if (value < 0) return Err(InvalidArgumentError("a character is none of base64url's"));
    bits = (bits << 6) | static_cast<std::uint32_t>(value);
    have += 6;
    if (have < 8) continue;
    have -= 8;
    bytes += static_cast<char>((bits >> have) & 255);
  }
  // A lone character carries no byte; left-over bits that are not zero mean a damaged text.
  if (have >= 6 || (bits & ((1U << have) - 1)) != 0) {
    return Err(InvalidArgumentError("the base64url text is cut off or damaged"));
  }
  return bytes;
}

Result<std::string> FormatJoinToken(const JoinToken& token) {
  SELVEDGE_RETURN_ERR_IF_ERROR(Check(token));
  const nlohmann::json json = {{"url", token.url},   {"ca", token.ca_sha256},
                               {"id", token.id},     {"secret", token.secret},
                               {"role", token.role}, {"site", token.site}};
  return std::string(kJoinTokenPrefix) + ToBase64Url(json.dump());
}

Result<JoinToken> ParseJoinToken(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return Err(Bad("it is empty"));
  text = text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
  if (text.size() > kMaxJoinTokenBytes) return Err(Bad("it is far too long"));
  if (!text.starts_with(kJoinTokenPrefix)) {
    return Err(Bad("it does not begin with " + std::string(kJoinTokenPrefix)));
  }
  const Result<std::string> decoded = FromBase64Url(text.substr(kJoinTokenPrefix.size()));
  if (!decoded) return Err(Bad(decoded.error().message()));
  // The parser would take a zero byte for the end of the text.
  if (decoded->contains('\0')) return Err(Bad("it is damaged"));
  const auto json = nlohmann::json::parse(*decoded, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Err(Bad("it is damaged"));
  JoinToken token;
  const std::array<std::pair<const char*, std::string*>, 6> fields = {{{"url", &token.url},
                                                                       {"ca", &token.ca_sha256},
                                                                       {"id", &token.id},
                                                                       {"secret", &token.secret},
                                                                       {"role", &token.role},
                                                                       {"site", &token.site}}};
  for (const auto& [name, value] : fields) {
    const auto found = json.find(name);
    if (found == json.end() || !found->is_string()) {
      return Err(Bad("it has no `" + std::string(name) + "`"));
    }
    *value = found->get<std::string>();
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(Check(token));
  return token;
}

Result<std::string> RandomText(std::size_t bytes) {
  if (bytes == 0 || bytes > 64) return Err(InvalidArgumentError("a random text has 1 to 64 bytes"));
  std::array<unsigned char, 64> random = {};
  if (RAND_bytes(random.data(), static_cast<int>(bytes)) != 1) {
    return Err(InternalError("the system gave no random bytes"));
  }
  std::string raw(random.begin(), random.begin() + static_cast<std::ptrdiff_t>(bytes));
  std::string text = ToBase64Url(raw);
  OPENSSL_cleanse(random.data(), random.size());
  OPENSSL_cleanse(raw.data(), raw.size());
  return text;
}

Result<std::string> SecretDigest(std::string_view secret) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::string digest, DigestOf(secret));
  return digest.substr(std::string_view("sha256:").size());
}

bool EqualInConstantTime(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace selvedge
