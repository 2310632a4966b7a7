#pragma once

// Join tokens (docs/formats/fleet.md, "Joining"), and the secrets in them and elsewhere.
//
// Free functions, thread-safe. A token is what a person pastes: parsing is strict, within limits,
// and an error never repeats the secret.

#include <cstddef>
#include <string>
#include <string_view>

#include "base/status.h"

namespace selvedge {

inline constexpr std::string_view kJoinTokenPrefix = "slv1.";
inline constexpr std::size_t kMaxJoinTokenBytes = 4096;

struct JoinToken {
  std::string url;        // "https://HOST:PORT", without a path
  std::string ca_sha256;  // of the DER form of the fleet's CA certificate, 64 hexadecimal digits
  std::string id;         // names the token; not secret
  std::string secret;
  std::string role;  // "device" or "gateway"
  std::string site;

  friend bool operator==(const JoinToken&, const JoinToken&) = default;
};

// "slv1.…". InvalidArgument where a field would not be read back.
Result<std::string> FormatJoinToken(const JoinToken& token);
// Blanks around it are ignored. InvalidArgument says what is wrong with it, never its secret.
Result<JoinToken> ParseJoinToken(std::string_view text);

// `bytes` (at most 64) from the system's source of randomness, as base64url without padding.
// 16 bytes make an id, 32 a secret.
Result<std::string> RandomText(std::size_t bytes);
// SHA-256 of a secret, 64 hexadecimal digits: what is kept of it.
Result<std::string> SecretDigest(std::string_view secret);
// Takes the same time wherever they differ (their lengths may show).
bool EqualInConstantTime(std::string_view a, std::string_view b);

// RFC 4648, section 5, without padding.
std::string ToBase64Url(std::string_view bytes);
// InvalidArgument where a character is none of base64url's, or bits are left over.
Result<std::string> FromBase64Url(std::string_view text);

}  // namespace selvedge
