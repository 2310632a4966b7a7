// selvedge token create | list | revoke

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cmd/fleet/table.h"
#include "cmd/fleet/verb.h"
#include "cmd/fleet/verbs.h"

namespace selvedge {
namespace {

using nlohmann::json;

struct TokenOptions {
  std::string site;
  std::string role = "device";
  std::string user;
  std::string name;
  std::string via;
  std::string id;
  double hours = 24;
};

Result<json> Create(ApiClient* client, const TokenOptions& options) {
  json body;
  if (!options.user.empty()) {
    body = {{"kind", "user"}, {"role", options.user}, {"name", options.name}};
  } else {
    body = {{"kind", "join"},
            {"site", options.site},
            {"role", options.role},
            {"expires_s", static_cast<std::int64_t>(options.hours * 3600)}};
    if (!options.via.empty()) body["via"] = options.via;
  }
  return client->Post("/tokens", body.dump());
}

int ShowList(const json& tokens) {
  Table table({"ID", "KIND", "ROLE", "SITE", "EXPIRES", "STATE"});
  for (const json& token : tokens) {
    const std::int64_t expires = token.value("expires_ms", std::int64_t{0});
    const std::int64_t left = (expires - fleet::NowMillis()) / 60'000;
    table.Add({fleet::Text(token, "id"), fleet::Text(token, "kind"), fleet::Text(token, "role"),
               fleet::Text(token, "site"),
               expires == 0 ? "never"
               : left < 0   ? "expired"
                            : fmt::format("in {} min", left),
               fleet::Text(token, "state")});
  }
  return fleet::Print(table.ToText(fleet::TableWidth()));
}

}  // namespace

int TokenMain(int argc, const char* const* argv) {
  fleet::VerbApp verb("token",
                      "Tokens with which devices and gateways join, and people sign in.\n"
                      "Example: selvedge token create --site plant-1 --role gateway");
  verb.app.require_subcommand(1);
  TokenOptions options;
  CLI::App* create = verb.app.add_subcommand("create", "prints a token, which is shown once");
  create->add_option("--site", options.site, "where what joins with it belongs");
  create->add_option("--role", options.role, "device or gateway")
      ->check(CLI::IsMember({"device", "gateway"}))
      ->capture_default_str();
  create->add_option("--hours", options.hours, "until it expires")
      ->check(CLI::Range(0.01, 8760.0))
      ->capture_default_str();
  create->add_option("--via", options.via, "https://GATEWAY:PORT, for devices that reach only it");
  create->add_option("--user", options.user, "a person's token in place of a join token")
      ->check(CLI::IsMember({"viewer", "operator", "admin"}));
  create->add_option("--name", options.name, "whose, with --user");
  CLI::App* list = verb.app.add_subcommand("list", "all, without their secrets");
  CLI::App* revoke = verb.app.add_subcommand("revoke", "makes one worthless");
  revoke->add_option("ID", options.id)->required();
  for (CLI::App* sub : {create, list, revoke}) sub->fallthrough();
  if (const int code = cli::Parse(&verb.app, argc, argv); code >= 0) return code;
  if (create->parsed() && options.site.empty() == options.user.empty()) {
    (void)std::fputs("selvedge token: error: give --site NAME, or --user ROLE for a person\n",
                     stderr);
    return cli::kExitMisuse;
  }
  auto client = verb.Client();
  if (!client) return cli::Fail("token", client.error());
  const Result<json> answer = create->parsed() ? Create(&*client, options)
                              : list->parsed()
                                  ? client->GetAll("/tokens")
                                  : client->Delete("/tokens/" + PercentEncode(options.id));
  if (!answer) return cli::Fail("token", answer.error());
  if (verb.json) return fleet::PrintJson(*answer);
  if (create->parsed()) return fleet::Print(answer->value("token", "") + "\n");
  return list->parsed() ? ShowList(*answer) : fleet::Print("revoked\n");
}

}  // namespace selvedge
