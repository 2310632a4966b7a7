#pragma once

// WWW-Authenticate: what a registry asks of a client that it does not know yet (RFC 9110, section
// 11.6.1). Pure; thread-safe.

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace selvedge {

struct OciChallenge {
  std::string scheme;                         // "bearer", "basic": in small letters
  std::map<std::string, std::string> values;  // "realm", "service", "scope"

  std::string Value(const std::string& name) const;
};

// The first challenge of the header; nothing where it is none that can be read.
std::optional<OciChallenge> ParseChallenge(std::string_view header);

std::string Base64(std::string_view bytes);
// Standard alphabet, padded or not; nothing where it is none.
std::optional<std::string> FromBase64(std::string_view text);

// "Basic …" of a user and a password.
std::string BasicAuthorization(std::string_view user, std::string_view password);

}  // namespace selvedge
