#include "device/capture/uri.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/log.h"

namespace selvedge {
namespace {

std::string Lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// RFC 3986, section 2.1; a stray '%' stays as it is.
std::string PercentDecode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 &&
        HexDigit(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

// The scheme in lower case, or nothing where `uri` is a path. A colon after a slash is part of a
// path.
std::optional<std::string> SchemeOf(std::string_view uri) {
  const std::size_t end = uri.find("://");
  if (end == std::string_view::npos || end == 0) return std::nullopt;
  for (const char c : uri.substr(0, end)) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '+' && c != '-' && c != '.') {
      return std::nullopt;
    }
  }
  return Lower(uri.substr(0, end));
}

bool LooksLikeVideoFile(std::string_view url) {
  static constexpr std::array kEndings = {
      ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts",  ".m2ts", ".mts", ".mpg", ".mpeg",
      ".flv", ".ogv", ".ogg", ".3gp", ".wmv",  ".asf", ".y4m", ".h264", ".264", ".h265"};
  const std::string path = Lower(url.substr(0, url.find_first_of("?#")));
  return std::ranges::any_of(kEndings, [&](std::string_view e) { return path.ends_with(e); });
}

template <typename T>
bool ParseNumber(std::string_view text, T min, T max, T* out) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  if (!(value >= min && value <= max)) return false;
  *out = value;
  return true;
}

Result<SourceUri> ParseTest(std::string_view uri) {
  SourceUri out{.kind = SourceKind::kTest, .location = "test://", .shown = std::string(uri)};
  std::string_view rest = uri.substr(uri.find("://") + 3);
  if (!rest.empty() && rest.front() != '?') {
    return Err(
        InvalidArgumentError("source \"" + std::string(uri) +
                             "\": after test:// only ?width=&height=&fps=&frames= may follow"));
  }
  if (!rest.empty()) rest.remove_prefix(1);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const std::size_t equals = pair.find('=');
    const std::string_view key = pair.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    bool ok = false;
    if (key == "width") {
      ok = ParseNumber(value, 16, 16384, &out.test.width);
    } else if (key == "height") {
      ok = ParseNumber(value, 16, 16384, &out.test.height);
    } else if (key == "fps") {
      ok = ParseNumber(value, 0.1, 1000.0, &out.test.fps);
    } else if (key == "frames") {
      ok = ParseNumber(value, 0, 1'000'000'000, &out.test.frames);
    } else {
      return Err(InvalidArgumentError("source \"" + std::string(uri) + "\": unknown parameter \"" +
                                      std::string(key) +
                                      "\"; test:// knows width, height, fps and frames"));
    }
    if (!ok) {
      return Err(InvalidArgumentError("source \"" + std::string(uri) + "\": \"" + std::string(key) +
                                      "\" needs a number in range (width and height 16 to 16384, "
                                      "fps 0.1 to 1000, frames from 0)"));
    }
  }
  return out;
}

// Takes user:password@ out of the authority (RFC 3986, section 3.2). The last '@' before the path
// ends the user information, so that a password with an unescaped '@' still works.
void SplitCredentials(std::string_view uri, SourceUri* out) {
  const std::size_t begin = uri.find("://") + 3;
  const std::size_t path = std::min(uri.find_first_of("/?#", begin), uri.size());
  const std::string_view authority = uri.substr(begin, path - begin);
  const std::size_t at = authority.rfind('@');
  if (at == std::string_view::npos) {
    out->location = std::string(uri);
    out->shown = out->location;
    return;
  }
  const std::string_view info = authority.substr(0, at);
  const std::size_t colon = info.find(':');
  out->user = PercentDecode(info.substr(0, colon));
  if (colon != std::string_view::npos) out->password = PercentDecode(info.substr(colon + 1));
  const std::string scheme(uri.substr(0, begin));
  const std::string rest = std::string(authority.substr(at + 1)) + std::string(uri.substr(path));
  out->location = scheme + rest;
  out->shown = scheme + std::string(info.substr(0, colon)) +
               (colon == std::string_view::npos ? "@" : ":***@") + rest;
}

}  // namespace

Result<SourceUri> ParseSourceUri(std::string_view uri) {
  if (uri.empty()) {
    return Err(InvalidArgumentError(
        "source: the URI is empty; give a video file, a folder of pictures, /dev/videoN, rtsp://…, "
        "http://… or test://"));
  }
  if (uri.find('\0') != std::string_view::npos) {
    return Err(InvalidArgumentError("source: the URI holds a zero byte"));
  }
  const std::optional<std::string> scheme = SchemeOf(uri);
  SourceUri out;
  if (!scheme || *scheme == "file") {
    if (scheme) {
      std::string_view rest = uri.substr(7);
      if (rest.starts_with("localhost/")) rest.remove_prefix(9);
      if (!rest.starts_with('/')) {
        return Err(
            InvalidArgumentError("source \"" + std::string(uri) +
                                 "\": a file:// URI needs an absolute path, as in file:///…"));
      }
      out.location = PercentDecode(rest);
    } else {
      out.location = std::string(uri);
    }
    out.shown = out.location;
    const bool camera =
        out.location.starts_with("/dev/video") || out.location.starts_with("/dev/v4l/");
    out.kind = camera ? SourceKind::kCamera : SourceKind::kPath;
    return out;
  }
  if (*scheme == "test") return ParseTest(uri);
  if (*scheme == "rtsp" || *scheme == "rtsps") {
    out.kind = SourceKind::kRtsp;
  } else if (*scheme == "http" || *scheme == "https") {
    out.kind = LooksLikeVideoFile(uri) ? SourceKind::kHttpFile : SourceKind::kHttpLive;
  } else {
    return Err(InvalidArgumentError(
        "source \"" + log::MaskSecrets(uri) + "\": " + *scheme +
        ":// is of no known kind; use a path, file://, rtsp://, rtsps://, http://, https://, "
        "/dev/videoN or test://"));
  }
  SplitCredentials(uri, &out);
  if (const std::size_t host = out.location.find("://") + 3;
      host >= out.location.size() || out.location[host] == '/' || out.location[host] == ':') {
    return Err(InvalidArgumentError("source \"" + out.shown + "\": the host is missing"));
  }
  return out;
}

}  // namespace selvedge
