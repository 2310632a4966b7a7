#include "cmd/gateway/options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "cmd/cli/cli.h"
#include "net/free_port.h"

namespace selvedge {
namespace {

using Json = nlohmann::json;

void AddOptions(CLI::App* app, GatewayCommand* o, std::vector<std::string>* labels) {
  app->add_option("--join", o->join,
                  "join token, or @FILE that holds it; needed for the first start only")
      ->envname("SELVEDGE_JOIN_TOKEN");
  app->add_option("--name", o->name, "its name in the fleet; default: gateway-SITE")
      ->envname("SELVEDGE_NAME");
  app->add_option("--state", o->state, "folder for its key, certificate and database")
      ->envname("SELVEDGE_GATEWAY_STATE");
  app->add_option("--listen", o->listen, "address for the site's devices; default: all")
      ->envname("SELVEDGE_LISTEN");
  app->add_option("--mqtt-port", o->mqtt_port, "of the site's broker; default 8883, 0: a free one")
      ->check(CLI::Range(0, 65535));
  app->add_option("--websocket-port", o->websocket_port,
                  "of the broker's WebSockets, for devices behind HTTP proxies; default: none")
      ->check(CLI::Range(0, 65535));
  app->add_option("--https-port", o->https_port,
                  "of joining and the registry's mirror; default 8443, 0: a free one")
      ->check(CLI::Range(0, 65535));
  app->add_option("--advertise", o->advertise,
                  "names or addresses under which devices reach it; the first is told to them")
      ->envname("SELVEDGE_ADVERTISE");
  app->add_option("--metrics-port", o->metrics_port,
                  "health and metrics without TLS, for this machine only; 0: a free one")
      ->check(CLI::Range(0, 65535));
  app->add_option("--proxy", o->proxy, "http://HOST:PORT, towards the cloud")
      ->envname("SELVEDGE_PROXY");
  app->add_option("--mosquitto", o->mosquitto, "the broker's executable; default: found")
      ->envname("SELVEDGE_MOSQUITTO");
  app->add_option("--label", *labels, "KEY=VALUE, shown with it in the fleet");
  app->add_option("--mirror-gib", o->mirror_gib, "how much of the registry is kept, GiB")
      ->check(CLI::Range(0.1, 100'000.0));
}

std::string HostName() {
  std::array<char, 256> name = {};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

std::string Bracketed(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

}  // namespace

int ParseGatewayCommand(int argc, char** argv, GatewayCommand* command) {
  CLI::App app(
      "Joins a site's devices to the cloud: broker, events, joining, registry mirror.\n"
      "Example: selvedge gateway --join slv1.… --advertise gateway.plant-1.example.com",
      "selvedge gateway");
  std::vector<std::string> labels;
  AddOptions(&app, command, &labels);
  const cli::LogFlags log_flags(&app);
  if (const int code = cli::Parse(&app, argc, argv); code >= 0) return code;
  if (const Status status = log_flags.Apply(); !status.ok()) return cli::Fail("gateway", status);
  for (const std::string& label : labels) {
    const std::size_t equals = label.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return cli::Fail("gateway",
                       InvalidArgumentError("--label " + label + ": it is of the form KEY=VALUE"));
    }
    command->labels.emplace_back(label.substr(0, equals), label.substr(equals + 1));
  }
  return -1;
}

std::string GatewayPlaces::MqttUrl() const {
  return "mqtts://" + Bracketed(advertise.front()) + ":" + std::to_string(mqtt_port);
}

std::string GatewayPlaces::HttpsUrl() const {
  return "https://" + Bracketed(advertise.front()) + ":" + std::to_string(https_port);
}

Result<std::optional<GatewayPlaces>> LoadPlaces(const std::string& state_folder) {
  const std::string path = state_folder + "/places.json";
  const Result<std::string> text = ReadFile(path, std::size_t{64} * 1024);
  if (!text && text.error().code() == StatusCode::kNotFound) return std::nullopt;
  if (!text) return Err(text.error());
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  GatewayPlaces places;
  const auto port = [&](const char* name, int* value) {
    const auto found = json.find(name);
    if (found != json.end() && found->is_number_integer()) *value = found->get<int>();
  };
  if (json.is_object()) {
    port("mqtt_port", &places.mqtt_port);
    port("websocket_port", &places.websocket_port);
    port("https_port", &places.https_port);
    for (const Json& host : json.value("advertise", Json::array())) {
      if (host.is_string()) places.advertise.push_back(host.get<std::string>());
    }
  }
  if (places.advertise.empty()) {
    return Err(FailedPreconditionError(path + " is damaged; remove it and start with the options "
                                              "of the first time"));
  }
  return places;
}

namespace {

// Asked before the gateway joins: a token is good once, and devices are told these places.
Status CheckPorts(const std::string& address, const GatewayPlaces& places) {
  const std::pair<const char*, int> ports[] = {{"--mqtt-port", places.mqtt_port},
                                               {"--https-port", places.https_port},
                                               {"--websocket-port", places.websocket_port}};
  for (const auto& [option, port] : ports) {
    if (port == 0) continue;
    const Status status = CheckPort(address, port);
    if (!status.ok()) return status.WithContext(option);
  }
  return OkStatus();
}

}  // namespace

Result<GatewayPlaces> DecidePlaces(const GatewayCommand& command) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::optional<GatewayPlaces> kept, LoadPlaces(command.state));
  GatewayPlaces places = kept.value_or(GatewayPlaces{});
  const auto decide = [&](const std::optional<int>& wanted, bool kept_one, int* port) -> Status {
    if (!wanted || (*wanted == 0 && kept_one)) return OkStatus();
    *port = *wanted;
    if (*port != 0) return OkStatus();
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(*port, FindFreePort(command.listen));
    return OkStatus();
  };
  SELVEDGE_RETURN_ERR_IF_ERROR(decide(command.mqtt_port, kept.has_value(), &places.mqtt_port));
  SELVEDGE_RETURN_ERR_IF_ERROR(decide(command.https_port, kept.has_value(), &places.https_port));
  SELVEDGE_RETURN_ERR_IF_ERROR(decide(command.websocket_port,
                                      kept.has_value() && kept->websocket_port != 0,
                                      &places.websocket_port));
  if (!kept) SELVEDGE_RETURN_ERR_IF_ERROR(CheckPorts(command.listen, places));
  if (!command.advertise.empty()) places.advertise = command.advertise;
  if (places.advertise.empty()) {
    const bool any = command.listen == "0.0.0.0" || command.listen == "::";
    places.advertise = {any ? HostName() : command.listen};
  }
  if (kept && *kept != places) {
    log::Warning("gateway",
                 "it listens elsewhere than when it joined; devices that joined before know the "
                 "earlier address only",
                 {{"earlier", kept->MqttUrl()}, {"now", places.MqttUrl()}});
  }
  const Json json = {{"mqtt_port", places.mqtt_port},
                     {"websocket_port", places.websocket_port},
                     {"https_port", places.https_port},
                     {"advertise", places.advertise}};
  SELVEDGE_RETURN_ERR_IF_ERROR(
      WriteFileAtomically(command.state + "/places.json", json.dump(2) + "\n"));
  return places;
}

Result<std::string> ReadToken(std::string_view argument) {
  if (!argument.starts_with('@')) return std::string(argument);
  return ReadFile(std::string(argument.substr(1)), std::size_t{16} * 1024);
}

}  // namespace selvedge
