#pragma once

// The flags of `selvedge registry`.

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace CLI {
class App;
}  // namespace CLI

namespace selvedge {

struct ServeOptions {
  std::string listen = "localhost:5000";
  std::string data;
  std::string certificate;
  std::string key;
  std::string client_ca;
  std::string push_token_file;
  std::string pull_token_file;
  bool anonymous_pull = false;
  std::vector<std::string> allowed_hosts;
  std::string mirror;
  std::string mirror_token_file;
  std::string mirror_ca;
  double max_gib = 20;

  // Of `listen`.
  std::string address;
  int port = 0;
};

void AddServeFlags(CLI::App* app, ServeOptions* options);
// After parsing: InvalidArgument for what does not go together.
Status CheckServeOptions(ServeOptions* options);

}  // namespace selvedge
