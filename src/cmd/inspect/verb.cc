#include "cmd/inspect/verb.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "cmd/cli/cli.h"
#include "cmd/cli/context.h"
#include "cmd/inspect/inspect.h"
#include "cmd/inspect/inspect_package.h"
#include "cmd/registry/transfer.h"

namespace selvedge {
namespace {

struct Shown {
  std::string text;
  bool usable = false;
};

// A file counts before a name; what has neither tag nor digest can only be a file.
bool IsInRegistry(const std::string& model) {
  std::error_code error;
  return !std::filesystem::exists(model, error) && !model.starts_with('/') &&
         !model.starts_with('.') && model.find_first_of(":@") != std::string::npos;
}

Result<Shown> ShowFile(const std::string& path, bool json) {
  SELVEDGE_ASSIGN_OR_RETURN(const ModelView view, Inspect(path));
  return Shown{json ? ToJson(view) + "\n" : ToText(view), IsUsable(view)};
}

Result<Shown> ShowPackage(const Reference& reference, const cli::ContextFlags& context, bool json) {
  SELVEDGE_ASSIGN_OR_RETURN(const cli::Connection connection, context.Resolve());
  OciClient client(ClientOptions(connection));
  SELVEDGE_ASSIGN_OR_RETURN(const PackageView view, InspectPackage(&client, reference));
  return Shown{json ? ToJson(view) + "\n" : ToText(view), view.card.has_value()};
}

}  // namespace

int InspectMain(int argc, const char* const* argv) {
  CLI::App app(
      "Shows a model: size, digest, inputs, outputs, which engines load it, whether its card "
      "fits; or a package in the fleet's registry: index, variants, files, card.\n"
      "Example: selvedge inspect assets/models/person-ssdlite.card.yaml\n"
      "         selvedge inspect safety/person-detector:1.0");
  app.name("selvedge inspect");
  std::string model;
  bool json = false;
  app.add_option("MODEL", model, "a model file, a model card, or NAME:TAG or NAME@sha256:…")
      ->required();
  app.add_flag("--json", json, "one JSON object");
  const cli::ContextFlags context(&app, cli::ContextFlags::Server::kRegistry);
  const cli::LogFlags log_flags(&app, "error");
  if (const int code = cli::Parse(&app, argc, argv); code >= 0) return code;
  Status status = log_flags.Apply();
  const bool remote = IsInRegistry(model);
  Result<Reference> reference = Reference{};
  if (status.ok() && remote) {
    reference = ParseFleetReference(model);
    if (!reference) status = reference.error();
  }
  if (!status.ok()) {
    (void)cli::Fail("inspect", status);
    return cli::kExitMisuse;
  }
  const auto shown = remote ? ShowPackage(*reference, context, json) : ShowFile(model, json);
  if (!shown) return cli::Fail("inspect", shown.error());
  if (std::fputs(shown->text.c_str(), stdout) < 0) return cli::kExitFailure;
  return shown->usable ? cli::kExitOk : cli::kExitFailure;
}

}  // namespace selvedge
