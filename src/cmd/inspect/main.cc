// selvedge-inspect: shows a model file or a model card with its variants.

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cmd/cli/cli.h"
#include "cmd/inspect/inspect.h"

namespace selvedge {
namespace {

int InspectMain(int argc, const char* const* argv) {
  CLI::App app(
      "Shows a model: size, digest, inputs, outputs, which engines load it, whether its card "
      "fits.\n"
      "Example: selvedge inspect assets/models/person-ssdlite.card.yaml");
  app.name("selvedge inspect");
  std::string path;
  bool json = false;
  app.add_option("MODEL", path, "a model file or a model card")->required();
  app.add_flag("--json", json, "one JSON object");
  const cli::LogFlags log_flags(&app, "error");
  if (const int code = cli::Parse(&app, argc, argv); code >= 0) return code;
  if (const Status applied = log_flags.Apply(); !applied.ok()) {
    (void)cli::Fail("inspect", applied);
    return cli::kExitMisuse;
  }
  const Result<ModelView> view = Inspect(path);
  if (!view) return cli::Fail("inspect", view.error());
  const std::string text = json ? ToJson(*view) + "\n" : ToText(*view);
  if (std::fputs(text.c_str(), stdout) < 0) return cli::kExitFailure;
  return IsUsable(*view) ? cli::kExitOk : cli::kExitFailure;
}

}  // namespace
}  // namespace selvedge

int main(int argc, char** argv) {
  selvedge::cli::IgnoreBrokenPipes();
  return selvedge::InspectMain(argc, argv);
}
