#include "cmd/cli/context.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <utility>

#include "base/file.h"

namespace selvedge::cli {

struct ContextFlags::Values {
  std::string url;
  std::string token_file;
  std::string ca;
};

namespace {

constexpr std::size_t kMaxLineFile = 64 * 1024;

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string WithoutSlash(std::string text) {
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

// Without the white space around it.
Result<std::string> FirstLine(const std::string& path) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::string content, ReadFile(path, kMaxLineFile));
  const std::string line = content.substr(0, content.find('\n'));
  const std::size_t begin = line.find_first_not_of(" \t\r");
  if (begin == std::string::npos) return std::string();
  return line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
}

}  // namespace

std::string StateFolder() {
  if (const std::string given = Environment("SELVEDGE_STATE"); !given.empty()) {
    return WithoutSlash(given);
  }
  if (geteuid() == 0) return "/var/lib/selvedge";
  if (const std::string state = Environment("XDG_STATE_HOME"); !state.empty()) {
    return WithoutSlash(state) + "/selvedge";
  }
  return WithoutSlash(Environment("HOME")) + "/.local/state/selvedge";
}

std::string CloudStateFolder() {
  return StateFolder() + "/cloud";
}

ContextFlags::ContextFlags(CLI::App* app, Server server)
    : server_(server), values_(std::make_shared<Values>()) {
  const bool api = server == Server::kApi;
  app->add_option(api ? "--server" : "--registry", values_->url,
                  api ? "the control plane's address (SELVEDGE_SERVER)"
                      : "the registry's address (SELVEDGE_REGISTRY)");
  app->add_option("--token-file", values_->token_file,
                  "a file with the token to use (or SELVEDGE_TOKEN)");
  app->add_option("--ca", values_->ca, "the fleet's certificate, PEM (SELVEDGE_CA)");
}

Result<Connection> ContextFlags::Resolve() const {
  const bool api = server_ == Server::kApi;
  const std::string folder = CloudStateFolder();
  const auto here = FirstLine(folder + "/" + std::string(api ? kApiUrlFile : kRegistryUrlFile));
  Connection connection;
  connection.url = values_->url;
  if (connection.url.empty()) {
    connection.url = Environment(api ? "SELVEDGE_SERVER" : "SELVEDGE_REGISTRY");
  }
  const bool local = connection.url.empty() || (here && WithoutSlash(connection.url) == *here);
  if (connection.url.empty()) {
    if (!here || here->empty()) {
      return Err(NotFoundError(
          api ? "no control plane is known: give --server URL or SELVEDGE_SERVER, or set "
                "SELVEDGE_STATE to the folder in which `selvedge cloud` keeps its state (looked "
                "in " +
                    folder + ")"
              : "no registry is known: give --registry URL or SELVEDGE_REGISTRY, or set "
                "SELVEDGE_STATE to the folder in which `selvedge cloud` keeps its state (looked "
                "in " +
                    folder + ")"));
    }
    connection.url = *here;
  }
  connection.url = WithoutSlash(connection.url);
  if (!values_->token_file.empty()) {
    SELVEDGE_ASSIGN_OR_RETURN(connection.token, FirstLine(values_->token_file));
  } else {
    connection.token = Environment("SELVEDGE_TOKEN");
    if (connection.token.empty() && local) {
      connection.token = FirstLine(folder + "/" + std::string(kAdminTokenFile)).value_or("");
    }
  }
  connection.ca = values_->ca.empty() ? Environment("SELVEDGE_CA") : values_->ca;
  const std::string local_ca = folder + "/" + std::string(kCaFile);
  if (connection.ca.empty() && local && access(local_ca.c_str(), R_OK) == 0) {
    connection.ca = local_ca;
  }
  return connection;
}

}  // namespace selvedge::cli
