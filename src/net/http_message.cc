#include "net/http_message.h"

#include <arpa/inet.h>

#include <algorithm>
#include <ctime>

namespace selvedge {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char Lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool IsNumericAddress(const std::string& host) {
  in6_addr storage;
  return inet_pton(AF_INET, host.c_str(), &storage) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &storage) == 1;
}

// "host:port", "[v6]:port" or either alone, into the host; nullopt where it is malformed.
std::optional<std::string> WithoutPort(std::string_view host) {
  std::string_view port;
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    port = host.substr(end + 1);
    if (!port.empty() && port[0] != ':') return std::nullopt;
    if (!port.empty()) port.remove_prefix(1);
    host = host.substr(1, end - 1);
  } else if (const std::size_t colon = host.find(':'); colon != std::string_view::npos) {
    port = host.substr(colon + 1);
    host = host.substr(0, colon);
  }
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (!std::all_of(port.begin(), port.end(), is_digit)) return std::nullopt;
  return std::string(host);
}

// RFC 9110, section 5.6.7.
std::string HttpDate() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[40];
  // %a and %b are English as long as nobody calls setlocale(LC_TIME), which we do not.
  std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return text;
}

bool HasLineBreak(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

void AppendHeader(std::string_view name, std::string_view value, std::string* head) {
  // A value that could begin another header is our own mistake; it is not passed on.
  if (name.empty() || HasLineBreak(name) || HasLineBreak(value)) return;
  head->append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return Lower(x) == Lower(y); });
}

std::string_view HttpRequest::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (EqualsIgnoringCase(key, name)) return value;
  }
  return {};
}

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = HexDigit(text[i + 1]);
    const int low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

std::optional<HttpTarget> ParseTarget(std::string_view target) {
  HttpTarget out;
  const std::size_t scheme = target.find("://");
  if (!target.starts_with('/') && scheme != std::string_view::npos) {
    if (!EqualsIgnoringCase(target.substr(0, scheme), "http")) return std::nullopt;
    target.remove_prefix(scheme + 3);
    const std::size_t end = std::min(target.find_first_of("/?"), target.size());
    out.host = target.substr(0, end);
    if (out.host.empty()) return std::nullopt;
    target.remove_prefix(end);
    if (target.empty()) target = "/";
  }
  const std::size_t question = target.find('?');
  if (question != std::string_view::npos) {
    out.query = target.substr(question + 1);
    target = target.substr(0, question);
  }
  if (target.empty() && !out.host.empty()) target = "/";
  if (!target.starts_with('/')) return std::nullopt;
  std::optional<std::string> path = PercentDecode(target);
  if (!path) return std::nullopt;
  out.path = std::move(*path);
  return out;
}

bool HostAllowed(std::string_view host, std::string_view machine_name,
                 const std::vector<std::string>& allowed) {
  const auto is = [](std::string_view name) {
    return [name](const std::string& entry) {
      return entry == "*" || EqualsIgnoringCase(entry, name);
    };
  };
  if (std::any_of(allowed.begin(), allowed.end(), is(host))) return true;
  std::optional<std::string> name = WithoutPort(host);
  if (!name) return false;
  if (name->ends_with('.')) name->pop_back();
  if (name->empty()) return false;
  if (IsNumericAddress(*name) || EqualsIgnoringCase(*name, "localhost")) return true;
  if (!machine_name.empty() && (EqualsIgnoringCase(*name, machine_name) ||
                                EqualsIgnoringCase(*name, std::string(machine_name) + ".local"))) {
    return true;
  }
  return std::any_of(allowed.begin(), allowed.end(), is(*name));
}

std::string ResponseHead(const HttpResponse& response, long long length, bool keep_alive) {
  std::string head;
  head.reserve(512);
  head.append("HTTP/1.1 ").append(std::to_string(response.status)).append(" ");
  head.append(HttpReason(response.status)).append("\r\n");
  AppendHeader("Date", HttpDate(), &head);
  const bool has_body = response.status != 204 && response.status != 304;
  if (has_body) AppendHeader("Content-Type", response.content_type, &head);
  if (has_body && length >= 0) AppendHeader("Content-Length", std::to_string(length), &head);
  AppendHeader("Connection", keep_alive ? "keep-alive" : "close", &head);
  // Nothing here is for other sites' pages, and nothing may be taken for another type than it says.
  AppendHeader("X-Content-Type-Options", "nosniff", &head);
  AppendHeader("Cross-Origin-Resource-Policy", "same-origin", &head);
  bool cache_control = false;
  for (const auto& [name, value] : response.headers) {
    cache_control = cache_control || EqualsIgnoringCase(name, "Cache-Control");
    AppendHeader(name, value, &head);
  }
  if (!cache_control) AppendHeader("Cache-Control", "no-store", &head);
  head.append("\r\n");
  return head;
}

HttpResponse HttpErrorResponse(int status, std::string_view sentence) {
  HttpResponse response;
  response.status = status;
  response.body = std::string(sentence) + "\n";
  return response;
}

std::string QueryValue(std::string_view query, std::string_view key) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::optional<std::string> name = PercentDecode(pair.substr(0, equals));
    if (!name || *name != key) continue;
    std::string raw(pair.substr(std::min(equals + 1, pair.size())));
    std::replace(raw.begin(), raw.end(), '+', ' ');
    return PercentDecode(raw).value_or("");
  }
  return {};
}

std::string_view HttpReason(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Unknown";
  }
}

}  // namespace selvedge
