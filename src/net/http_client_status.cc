// What an answer means, for people and for code; and the small parts of URLs.

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/utf8.h"
#include "net/http_client.h"
#include "net/http_message.h"

namespace selvedge {
namespace {

constexpr std::size_t kMaxMessage = 500;

// What an error's body says. Nothing of it is believed to be of any shape.
struct Said {
  std::optional<StatusCode> code;
  std::string message;
};

std::optional<StatusCode> CodeByName(std::string_view name) {
  for (int i = 1; i <= 16; ++i) {
    const auto code = static_cast<StatusCode>(i);
    if (StatusCodeName(code) == name) return code;
  }
  return std::nullopt;
}

Said FromJson(const nlohmann::json& body) {
  Said said;
  if (!body.is_object()) return said;
  const nlohmann::json* error = nullptr;
  if (const auto one = body.find("error"); one != body.end() && one->is_object()) {
    error = &*one;
  } else if (const auto many = body.find("errors"); many != body.end() && many->is_array() &&
                                                    !many->empty() && many->front().is_object()) {
    error = &many->front();
  }
  if (error == nullptr) return said;
  const auto text = [&](const char* key) {
    const auto found = error->find(key);
    return found != error->end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  said.code = CodeByName(text("code"));
  said.message = text("message");
  return said;
}

// One line, well-formed, of bounded length: it ends up in logs and on terminals.
std::string Tidy(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size() && out.size() < kMaxMessage;) {
    const std::size_t length = Utf8SequenceLength(text, i);
    const auto c = static_cast<unsigned char>(text[i]);
    if (length == 0 || (length == 1 && (c < 0x20 || c == 0x7f))) {
      if (!out.empty() && out.back() != ' ') out.push_back(' ');
      ++i;
      continue;
    }
    out.append(text.substr(i, length));
    i += length;
  }
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

Said WhatIsSaid(const HttpAnswer& answer) {
  Said said;
  if (answer.body.size() > 64 * 1024) return said;
  const auto json = nlohmann::json::parse(answer.body, nullptr, false);
  if (!json.is_discarded()) {
    said = FromJson(json);
  } else if (answer.Header("Content-Type").starts_with("text/plain")) {
    said.message = answer.body.substr(0, answer.body.find('\n'));
  }
  said.message = Tidy(said.message);
  return said;
}

bool Unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

}  // namespace

std::string_view HttpAnswer::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (EqualsIgnoringCase(key, name)) return value;
  }
  return {};
}

StatusCode CodeOfHttpStatus(int status) {
  if (status < 400) return StatusCode::kOk;
  switch (status) {
    case 401: return StatusCode::kUnauthenticated;
    case 403: return StatusCode::kPermissionDenied;
    case 404:
    case 410: return StatusCode::kNotFound;
    case 405:
    case 501: return StatusCode::kUnimplemented;
    case 408:
    case 504: return StatusCode::kDeadlineExceeded;
    case 409: return StatusCode::kAlreadyExists;
    case 412: return StatusCode::kFailedPrecondition;
    case 413:
    case 429:
    case 507: return StatusCode::kResourceExhausted;
    case 416: return StatusCode::kOutOfRange;
    case 502:
    case 503: return StatusCode::kUnavailable;
    default: return status < 500 ? StatusCode::kInvalidArgument : StatusCode::kInternal;
  }
}

Status StatusOfAnswer(const HttpAnswer& answer) {
  if (answer.status < 400) return OkStatus();
  const Said said = WhatIsSaid(answer);
  const StatusCode code = said.code.value_or(CodeOfHttpStatus(answer.status));
  const std::string who = HostOfUrl(answer.url);
  if (!said.message.empty()) return {code, who + ": " + said.message};
  std::string sentence = who + " answered " + std::to_string(answer.status);
  const std::string_view reason = HttpReason(answer.status);
  if (reason != "Unknown") sentence.append(" (").append(reason).append(")");
  if (answer.status == 401) sentence += ": give a valid token";
  return {code, sentence};
}

std::string HostOfUrl(std::string_view url) {
  if (const std::size_t scheme = url.find("://"); scheme != std::string_view::npos) {
    url.remove_prefix(scheme + 3);
  }
  url = url.substr(0, url.find_first_of("/?#"));
  if (const std::size_t at = url.rfind('@'); at != std::string_view::npos)
    url.remove_prefix(at + 1);
  return Tidy(url);
}

std::string PercentEncode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (Unreserved(c)) {
      out.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out.push_back('%');
    out.push_back(kHex[byte >> 4]);
    out.push_back(kHex[byte & 15]);
  }
  return out;
}

}  // namespace selvedge
