#include "cmd/fleet/verb.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/clock.h"

namespace selvedge::fleet {

using nlohmann::json;

VerbApp::VerbApp(const std::string& verb, const std::string& description)
    : app(description), context(&app, cli::ContextFlags::Server::kApi) {
  app.name("selvedge " + verb);
  app.add_flag("--json", json, "what the control plane answered, as JSON");
}

Result<ApiClient> VerbApp::Client() const {
  SELVEDGE_ASSIGN_OR_RETURN(cli::Connection connection, context.Resolve());
  return Result<ApiClient>(std::in_place, std::move(connection));
}

int Print(const std::string& text) {
  const bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  return written ? cli::kExitOk : cli::kExitFailure;
}

int PrintJson(const json& value) {
  return Print(value.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

std::size_t TableWidth() {
  return cli::IsTerminal(STDOUT_FILENO)
             ? static_cast<std::size_t>(cli::TerminalColumns(STDOUT_FILENO))
             : 0;
}

std::int64_t NowMillis() {
  return Clock::System().Wall() / kMillisecond;
}

std::string Text(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

}  // namespace selvedge::fleet
