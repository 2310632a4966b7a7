#pragma once

// What a gateway answers over HTTPS: health, readiness and metrics; the way into the fleet for
// devices that reach nothing else (docs/formats/fleet.md, "Joining"); and, where it has one, the
// mirror of the fleet's registry, for members of its site.
//
// Owned by the process that is the gateway; the Gateway and all else it is given must outlive it.
// Whom it trusts: nobody. Joining is passed on as it came, within limits (bytes, calls at a time,
// calls a second); whether it is good is the control plane's decision.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/status.h"
#include "gateway/gateway.h"
#include "net/http_server.h"

namespace selvedge {

struct GatewayHttpOptions {
  std::string address = "0.0.0.0";
  int port = 8443;
  std::vector<std::string> hosts;  // names that it is called by
  // Metrics and health without TLS, on this machine's loopback only; 0: none, -1: any free port.
  int plain_port = 0;
  NodeIdentity identity;
  std::string proxy;
  // Adds the routes of the mirror, where there is one.
  std::function<void(HttpServer*)> add_mirror;
  // What the mirror fetched over the uplink so far, bytes; for the metrics.
  std::function<std::uint64_t()> mirror_bytes;
};

class GatewayHttp {
 public:
  static Result<std::unique_ptr<GatewayHttp>> Start(GatewayHttpOptions options, Gateway* gateway,
                                                    MetricsRegistry* registry);
  ~GatewayHttp();
  GatewayHttp(const GatewayHttp&) = delete;
  GatewayHttp& operator=(const GatewayHttp&) = delete;

  int port() const;
  int plain_port() const;  // 0 where there is none
  void Stop();

 private:
  explicit GatewayHttp(std::unique_ptr<class GatewayHttpCore> core);
  std::unique_ptr<class GatewayHttpCore> core_;
};

}  // namespace selvedge
