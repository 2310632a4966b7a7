#pragma once

// What every verb of this folder shares.

#include <CLI/CLI.hpp>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/status.h"
#include "cmd/cli/cli.h"
#include "cmd/cli/context.h"
#include "cmd/fleet/api_client.h"

namespace selvedge::fleet {

// A parser with the flags that all have: where the fleet is, and --json.
struct VerbApp {
  VerbApp(const std::string& verb, const std::string& description);

  CLI::App app;
  cli::ContextFlags context;
  bool json = false;

  Result<ApiClient> Client() const;
};

// To stdout; the exit code.
int Print(const std::string& text);
int PrintJson(const nlohmann::json& value);
// Of stdout where it is a terminal; 0 where it is not, so that nothing is cut.
std::size_t TableWidth();
std::int64_t NowMillis();
// A field as text: of any type, empty where it is not there.
std::string Text(const nlohmann::json& object, const char* key);

}  // namespace selvedge::fleet
