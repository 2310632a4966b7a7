#pragma once

// Api: the control plane over HTTP (docs/formats/api.md): /api/v1/…, its description, the stream,
// metrics, health, and the dashboard's files.
//
// Owned by whoever has the HttpServers, which must have worker threads: calls wait for the
// database. Register may be called for several servers (plain on loopback, TLS for others); the Api
// and its ControlPlane must outlive them. Errors are answered as {"error": {"code", "message"}}.

#include <span>
#include <string>
#include <string_view>

#include "cloud/api/control_plane.h"
#include "net/http_server.h"

namespace selvedge {

struct ApiRoute {
  std::string_view method;
  std::string_view path;             // "/devices/{name}", below /api/v1
  UserRole role = UserRole::kAdmin;  // kNone: anybody
};

class Api {
 public:
  explicit Api(ControlPlane* plane) : plane_(plane) {}

  // Before the server starts.
  void Register(HttpServer* server);

  // Every route below /api/v1, the stream left out.
  static std::span<const ApiRoute> Routes();
  // The OpenAPI file.
  static std::string_view Description();

 private:
  void Dispatch(const HttpRequest& request, HttpReply reply);
  HttpWebSocket AcceptStream(const HttpRequest& request);
  void RegisterHealth(HttpServer* server);
  Result<UserRole> RoleOf(const HttpRequest& request);

  ControlPlane* plane_;
};

}  // namespace selvedge
