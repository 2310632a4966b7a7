#include "cmd/registry/serve_options.h"

#include <CLI/CLI.hpp>
#include <charconv>

#include "cmd/cli/context.h"

namespace selvedge {

void AddServeFlags(CLI::App* app, ServeOptions* options) {
  app->add_option("--listen", options->listen, "ADDRESS:PORT; port 0: any free one")
      ->envname("SELVEDGE_REGISTRY_LISTEN")
      ->capture_default_str();
  app->add_option("--data", options->data,
                  "the folder of the store; default: registry in the state folder")
      ->envname("SELVEDGE_REGISTRY_DATA");
  app->add_option("--tls-certificate", options->certificate, "PEM, with its chain");
  app->add_option("--tls-key", options->key, "PEM");
  app->add_option("--client-ca", options->client_ca,
                  "whoever has a certificate signed by it (PEM) may pull");
  app->add_option(
      "--token-file", options->push_token_file,
      "a file with the token that may push and pull; default: push.token in the store's "
      "folder, made at the first start");
  app->add_option("--pull-token-file", options->pull_token_file,
                  "a file with a token that may only pull");
  app->add_flag("--anonymous-pull", options->anonymous_pull, "anybody may pull");
  app->add_option("--allow-host", options->allowed_hosts,
                  "a further name that clients reach it by");
  app->add_option("--mirror", options->mirror,
                  "https://HOST:PORT of a registry to be a pull-through cache of")
      ->envname("SELVEDGE_REGISTRY_MIRROR");
  app->add_option("--mirror-token-file", options->mirror_token_file, "the token for that registry");
  app->add_option("--mirror-ca", options->mirror_ca, "the certificate that signed its, PEM");
  app->add_option("--max-gib", options->max_gib, "what a mirror keeps at most, GiB")
      ->check(CLI::Range(0.01, 1e6))
      ->capture_default_str();
}

Status CheckServeOptions(ServeOptions* options) {
  const std::size_t colon = options->listen.rfind(':');
  const std::string port = colon == std::string::npos ? "" : options->listen.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), options->port);
  if (colon == 0 || error != std::errc() || end != port.data() + port.size() || options->port < 0 ||
      options->port > 65535) {
    return InvalidArgumentError("--listen " + options->listen +
                                ": expected ADDRESS:PORT, such as localhost:5000");
  }
  options->address = options->listen.substr(0, colon);
  if (options->address.starts_with('[') && options->address.ends_with(']')) {
    options->address = options->address.substr(1, options->address.size() - 2);
  }
  if (options->certificate.empty() != options->key.empty()) {
    return InvalidArgumentError("--tls-certificate and --tls-key are given together");
  }
  const bool loopback = options->address == "localhost" || options->address == "::1" ||
                        options->address.starts_with("127.");
  if (!loopback && options->certificate.empty()) {
    return InvalidArgumentError("--listen " + options->listen +
                                " is reached by other machines: give --tls-certificate and "
                                "--tls-key, tokens are not sent in the clear");
  }
  if (!options->client_ca.empty() && options->certificate.empty()) {
    return InvalidArgumentError("--client-ca needs --tls-certificate and --tls-key");
  }
  if (options->data.empty()) options->data = cli::StateFolder() + "/registry";
  return OkStatus();
}

}  // namespace selvedge
