#include "cmd/cloud/options.h"

#include <CLI/CLI.hpp>
#include <charconv>

#include "cmd/cli/cli.h"
#include "cmd/cli/context.h"

namespace selvedge {
namespace {

void AddOptions(CLI::App* app, CloudOptions* o) {
  app->add_option("--state", o->state, "folder for everything that it keeps")
      ->envname("SELVEDGE_CLOUD_STATE");
  app->add_option("--http", o->http,
                  "plain HTTP, on this machine only: HOST:PORT; port 0: any free")
      ->envname("SELVEDGE_CLOUD_HTTP");
  app->add_option("--https", o->https, "HTTPS for other machines: ADDRESS:PORT")
      ->envname("SELVEDGE_CLOUD_HTTPS");
  app->add_option("--mqtt-port", o->mqtt_port, "MQTT over TLS")
      ->check(CLI::Range(0, 65535))
      ->envname("SELVEDGE_CLOUD_MQTT_PORT");
  app->add_option("--mqtt-ws-port", o->mqtt_ws_port, "MQTT over WebSockets over TLS; default: none")
      ->check(CLI::Range(0, 65535))
      ->envname("SELVEDGE_CLOUD_MQTT_WS_PORT");
  app->add_option("--registry-port", o->registry_port, "the registry of models, HTTPS")
      ->check(CLI::Range(0, 65535))
      ->envname("SELVEDGE_CLOUD_REGISTRY_PORT");
  app->add_option("--advertise", o->advertise,
                  "name or address by which other machines reach this one; default: its host name")
      ->envname("SELVEDGE_CLOUD_ADVERTISE");
  app->add_option("--keep-days", o->keep_days, "events older than this go")
      ->check(CLI::Range(1, 36500))
      ->envname("SELVEDGE_CLOUD_KEEP_DAYS");
  app->add_option("--max-events-mib", o->max_mib, "the oldest events go where they take more disk")
      ->check(CLI::Range(16, 1 << 24))
      ->envname("SELVEDGE_CLOUD_MAX_EVENTS_MIB");
  app->add_option("--raw-events", o->raw_events,
                  "events that gateways pass on beside aggregates: rules, none or all")
      ->check(CLI::IsMember({"rules", "none", "all"}))
      ->envname("SELVEDGE_CLOUD_RAW_EVENTS");
  app->add_option("--aggregate-window", o->aggregate_window_s, "seconds that gateways count over")
      ->check(CLI::Range(1, 86400))
      ->envname("SELVEDGE_CLOUD_AGGREGATE_WINDOW");
  app->add_option("--mosquitto", o->mosquitto, "the broker's executable")
      ->envname("SELVEDGE_MOSQUITTO");
}

Status CheckOptions(const CloudOptions& options) {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const HostPort http, ParseHostPort(options.http));
  if (!IsLoopbackHost(http.host)) {
    return InvalidArgumentError(
        "--http " + options.http +
        ": plain HTTP is for this machine only (localhost); others use --https");
  }
  return ParseHostPort(options.https) ? OkStatus() : ParseHostPort(options.https).error();
}

}  // namespace

bool IsLoopbackHost(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

Result<HostPort> ParseHostPort(const std::string& text) {
  const auto bad = [&] {
    return Err(InvalidArgumentError(text + " is no HOST:PORT, such as localhost:8080"));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return bad();
  HostPort parsed{.host = text.substr(0, colon)};
  if (parsed.host.starts_with('[') && parsed.host.ends_with(']')) {
    parsed.host = parsed.host.substr(1, parsed.host.size() - 2);
  } else if (parsed.host.find(':') != std::string::npos) {
    return bad();
  }
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, parsed.port);
  if (error != std::errc() || stop != end || parsed.port < 0 || parsed.port > 65535) return bad();
  return parsed;
}

int ParseCloudOptions(int argc, const char* const* argv, CloudOptions* options) {
  CLI::App app(
      "Runs the control plane: the fleet's API, dashboard, broker, registry and certificate "
      "authority.\nExample: selvedge cloud --advertise cloud.example.com");
  app.name("selvedge cloud");
  AddOptions(&app, options);
  const cli::LogFlags log_flags(&app);
  if (const int code = cli::Parse(&app, argc, argv); code >= 0) return code;
  if (const Status status = log_flags.Apply(); !status.ok()) {
    cli::Fail("cloud", status);
    return cli::kExitMisuse;
  }
  if (options->state.empty()) options->state = cli::CloudStateFolder();
  if (const Status status = CheckOptions(*options); !status.ok()) {
    cli::Fail("cloud", status);
    return cli::kExitMisuse;
  }
  return -1;
}

}  // namespace selvedge
