#include "cloud/api/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/metrics.h"
#include "cloud/api/api_call.h"
#include "cloud/api/embedded_files.h"
#include "cloud/api/overview.h"
#include "cloud/api/views.h"

namespace selvedge {
namespace {

constexpr std::string_view kPrefix = "/api/v1";
constexpr std::string_view kSubprotocol = "selvedge.v1";
constexpr std::string_view kBearerProtocol = "bearer.";
constexpr std::size_t kMaxBody = kMaxDeploymentBytes + 4096;
// Commands wait for a device, at most ten seconds.
constexpr std::chrono::milliseconds kReplyTimeout{20'000};

const std::vector<ApiEntry>& Entries() {
  static const std::vector<ApiEntry> entries = [] {
    std::vector<ApiEntry> all;
    for (const auto part : {DeviceRoutes(), DeploymentRoutes(), EventRoutes(), AccessRoutes()}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }();
  return entries;
}

std::vector<std::string_view> Segments(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    path.remove_prefix(1);  // '/'
    const std::size_t end = std::min(path.find('/'), path.size());
    segments.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return segments;
}

// The last {} takes what is left: names of packages hold '/'.
bool Matches(std::string_view pattern, std::string_view path, std::vector<std::string>* names) {
  const auto wanted = Segments(pattern);
  const auto given = Segments(path);
  names->clear();
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (i >= given.size()) return false;
    if (wanted[i].starts_with('{')) {
      if (given[i].empty()) return false;
      if (wanted[i] == "{path}") {
        names->emplace_back(given[i].data(), path.data() + path.size() - given[i].data());
        return true;
      }
      names->emplace_back(given[i]);
    } else if (wanted[i] != given[i]) {
      return false;
    }
  }
  return wanted.size() == given.size();
}

std::string_view Bearer(const HttpRequest& request) {
  std::string_view header = request.Header("Authorization");
  constexpr std::string_view kScheme = "bearer ";
  if (header.size() <= kScheme.size()) return {};
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(header[i])) != kScheme[i]) return {};
  }
  return header.substr(kScheme.size());
}

std::string_view RoleName(UserRole role) {
  constexpr std::string_view kNames[] = {"none", "viewer", "operator", "admin"};
  return kNames[static_cast<std::size_t>(role)];
}

HttpResponse Unauthenticated() {
  HttpResponse response =
      HttpJsonError(UnauthenticatedError("a token is needed: Authorization: Bearer TOKEN; the "
                                         "first is in the state folder's admin.token"));
  response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

Status Forbidden(UserRole needed, UserRole role) {
  return PermissionDeniedError(
      fmt::format("this takes the role {}; the token's is {}", RoleName(needed), RoleName(role)));
}

HttpResponse NotAllowed(const std::string& allow) {
  HttpResponse response = HttpJsonError(UnimplementedError("this path takes " + allow));
  response.status = 405;
  response.headers.emplace_back("Allow", allow);
  return response;
}

}  // namespace

std::span<const ApiRoute> Api::Routes() {
  static const std::vector<ApiRoute> routes = [] {
    std::vector<ApiRoute> all;
    for (const ApiEntry& entry : Entries()) all.push_back(entry.route);
    return all;
  }();
  return routes;
}

Result<UserRole> Api::RoleOf(const HttpRequest& request) {
  return plane_->joining().RoleOf(Bearer(request));
}

void Api::Dispatch(const HttpRequest& request, HttpReply reply) {
  const std::string_view path = std::string_view(request.path).substr(kPrefix.size());
  std::string allow;
  std::vector<std::string> names;
  for (const ApiEntry& entry : Entries()) {
    if (!Matches(entry.route.path, path, &names)) continue;
    if (entry.route.method != request.method) {
      allow += (allow.empty() ? "" : ", ") + std::string(entry.route.method);
      continue;
    }
    UserRole role = UserRole::kNone;
    if (entry.route.role != UserRole::kNone) {
      const Result<UserRole> found = RoleOf(request);
      if (!found) return reply(HttpJsonError(found.error()));
      role = *found;
      if (role == UserRole::kNone) return reply(Unauthenticated());
      if (role < entry.route.role) return reply(HttpJsonError(Forbidden(entry.route.role, role)));
    }
    ApiCall call{*plane_, request, std::move(names), role, std::move(reply)};
    return entry.handler(call);
  }
  if (!allow.empty()) return reply(NotAllowed(allow));
  reply(HttpJsonError(NotFoundError("there is no " + request.path + "; see /api/openapi.json")));
}

HttpWebSocket Api::AcceptStream(const HttpRequest& request) {
  bool known = false;
  std::string token;
  for (const std::string& protocol : WebSocketProtocols(request.Header("Sec-WebSocket-Protocol"))) {
    known = known || protocol == kSubprotocol;
    if (protocol.starts_with(kBearerProtocol)) token = protocol.substr(kBearerProtocol.size());
  }
  if (token.empty()) token = Bearer(request);
  const Result<UserRole> role = plane_->joining().RoleOf(token);
  if (!role) return HttpJsonError(role.error());
  if (*role < UserRole::kViewer) return Unauthenticated();
  WebSocketAccepted accepted;
  if (known) accepted.subprotocol = kSubprotocol;
  accepted.on_open = [this, role = *role](std::shared_ptr<WebSocket> socket) {
    socket->Send(
        Dump({{"type", "hello"}, {"version", plane_->version()}, {"role", RoleName(role)}}));
    socket->Send(OverviewMessage(*plane_));
    plane_->hub().Add(std::move(socket));
  };
  return accepted;
}

void Api::RegisterHealth(HttpServer* server) {
  server->Handle("GET", "/healthz",
                 [](const HttpRequest&) { return HttpResponse{.body = "ok\n"}; });
  server->Handle("GET", "/readyz", [this](const HttpRequest&) {
    const Status ready = plane_->Ready();
    return ready.ok() ? HttpResponse{.body = "ready\n"}
                      : HttpResponse{.status = 503, .body = ready.message() + "\n"};
  });
  server->HandleLater("GET", "/metrics", [this](const HttpRequest& request, HttpReply reply) {
    const Result<UserRole> role = RoleOf(request);
    if (!role) return reply(HttpJsonError(role.error()));
    if (*role < UserRole::kViewer) return reply(Unauthenticated());
    const MetricsFormat format = NegotiateMetricsFormat(request.Header("Accept"));
    reply({.content_type = std::string(MetricsContentType(format)),
           .body = MetricsText(*plane_, format == MetricsFormat::kOpenMetrics)});
  });
}

void Api::Register(HttpServer* server) {
  for (const std::string_view method : {"GET", "POST", "DELETE", "PUT", "PATCH"}) {
    server->HandlePrefix(method, "/api/v1/",
                         [this](const HttpRequest& request, HttpReply reply) {
                           Dispatch(request, std::move(reply));
                         },
                         {.max_body_bytes = kMaxBody, .reply_timeout = kReplyTimeout});
  }
  server->Handle("GET", "/api/openapi.json", [](const HttpRequest&) {
    return HttpResponse{.content_type = "application/json", .body = std::string(Description())};
  });
  server->HandleWebSocket("/api/v1/stream",
                          [this](const HttpRequest& request) { return AcceptStream(request); },
                          {.max_message_bytes = 1024});
  RegisterHealth(server);
  server->HandlePrefix("GET", "/", [](const HttpRequest& request, HttpReply reply) {
    reply(AnswerWithDashboard(request));
  });
}

}  // namespace selvedge
