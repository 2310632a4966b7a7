#pragma once

// Where the fleet is that a client verb talks to, and as whom: the flags --server, --registry,
// --token-file and --ca, else SELVEDGE_SERVER, SELVEDGE_REGISTRY, SELVEDGE_TOKEN and SELVEDGE_CA,
// else what a control plane on this machine left in its state folder.
//
// The folder is $SELVEDGE_STATE/cloud, where SELVEDGE_STATE is /var/lib/selvedge for root and
// ~/.local/state/selvedge for others by default. It holds `api.url`, `registry.url`, `ca.pem` and
// `admin.token`, one line each but for the certificate. Tokens are never shown and never given as
// an argument, which others could see in the list of processes.

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace CLI {
class App;
}  // namespace CLI

namespace selvedge::cli {

// $SELVEDGE_STATE, else the default of this user; without a slash at its end.
std::string StateFolder();
// StateFolder() + "/cloud".
std::string CloudStateFolder();

// Names of the files in it.
inline constexpr std::string_view kApiUrlFile = "api.url";
inline constexpr std::string_view kRegistryUrlFile = "registry.url";
inline constexpr std::string_view kCaFile = "ca.pem";
inline constexpr std::string_view kAdminTokenFile = "admin.token";

struct Connection {
  std::string url;    // without a slash at its end
  std::string token;  // empty where there is none
  std::string ca;     // path of a PEM file; empty: the system's authorities
};

class ContextFlags {
 public:
  enum class Server { kApi, kRegistry };
  // Adds --server (or --registry), --token-file and --ca.
  ContextFlags(CLI::App* app, Server server);

  // Call after parsing. InvalidArgument or NotFound where nothing says where the fleet is, or a
  // named file cannot be read; the sentence says what to give. A control plane's own token is used
  // only for its own URL: never sent to another server.
  Result<Connection> Resolve() const;

 private:
  // Shared with the parser, which writes to them later.
  struct Values;
  Server server_;
  std::shared_ptr<Values> values_;
};

}  // namespace selvedge::cli
