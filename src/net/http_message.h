#pragma once

// The parts of HTTP/1.1 that need no socket: request targets, Host, heads of responses. Pure
// functions.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_server.h"

namespace selvedge {

// "%41" becomes "A"; nullopt for a broken escape or an escaped NUL.
std::optional<std::string> PercentDecode(std::string_view text);

// "/a%20b?c=d" into path "/a b" and query "c=d"; an absolute target ("http://host/a") also sets
// `host`. False where it is none of these.
struct HttpTarget {
  std::string path;
  std::string query;
  std::string host;  // empty unless the target was absolute
};
std::optional<HttpTarget> ParseTarget(std::string_view target);

// Whether a Host value ("localhost:8090", "[::1]", "camera.local") may be served: numeric
// addresses, localhost, `machine_name` with or without ".local", and those in `allowed`.
bool HostAllowed(std::string_view host, std::string_view machine_name,
                 const std::vector<std::string>& allowed);

// Status line and headers, with the empty line. `length` is left out where negative.
std::string ResponseHead(const HttpResponse& response, long long length, bool keep_alive);

// `sentence` as plain text.
HttpResponse HttpErrorResponse(int status, std::string_view sentence);

// Case-insensitive, ASCII.
bool EqualsIgnoringCase(std::string_view a, std::string_view b);

}  // namespace selvedge
