// selvedge push NAME:TAG --card CARD: makes a package of a model and sends it.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cmd/registry/transfer.h"
#include "cmd/registry/verbs.h"

namespace selvedge {
namespace {

struct PushOptions {
  std::string name;
  std::string card;
  std::string pipeline;
  bool json = false;
};

std::string Report(const PushOptions& options, const Reference& reference,
                   const BuiltPackage& package, const PushedPackage& pushed) {
  if (options.json) {
    return nlohmann::json{{"name", reference.repository},    {"tag", reference.tag},
                          {"digest", pushed.digest},         {"title", package.title},
                          {"version", package.version},      {"variants", package.manifests.size()},
                          {"bytes_sent", pushed.bytes_sent}, {"bytes_there", pushed.bytes_there}}
               .dump(2) +
           "\n";
  }
  return reference.ToString() + "  " + package.title + " " + package.version + ", " +
         std::to_string(package.manifests.size()) +
         (package.manifests.size() == 1 ? " variant" : " variants") + "; " +
         HumanBytes(pushed.bytes_sent) + " sent, " + HumanBytes(pushed.bytes_there) +
         " were there already\n" + pushed.digest + "\n";
}

Result<std::string> Push(const PushOptions& options, const Reference& reference,
                         const cli::ContextFlags& context) {
  SELVEDGE_ASSIGN_OR_RETURN(const cli::Connection connection, context.Resolve());
  const StopOnSignal stop;
  SELVEDGE_ASSIGN_OR_RETURN(const BuiltPackage package,
                            BuildPackage(options.card, options.pipeline));
  OciClient client(ClientOptions(connection));
  TransferLine line;
  const auto pushed = PushPackage(&client, package, reference.repository, reference.tag,
                                  line.Callback(), stop.token());
  line.Clear();
  if (!pushed) return Err(pushed.error());
  return Report(options, reference, package, *pushed);
}

}  // namespace

int PushMain(int argc, const char* const* argv) {
  CLI::App app(
      "Makes a package of a model and sends it to the fleet's registry; what the registry has is "
      "not sent again.\n"
      "Example: selvedge push safety/person-detector:1.0 --card person-ssdlite.card.yaml "
      "--pipeline pipeline.yaml");
  app.name("selvedge push");
  PushOptions options;
  app.add_option("NAME:TAG", options.name, "what it is to be called")->required();
  app.add_option("--card", options.card, "the model card, which names the weights")->required();
  app.add_option("--pipeline", options.pipeline, "a pipeline file that runs the model");
  app.add_flag("--json", options.json, "one JSON object");
  const cli::ContextFlags context(&app, cli::ContextFlags::Server::kRegistry);
  const cli::LogFlags log_flags(&app, "warning");
  if (const int code = cli::Parse(&app, argc, argv); code >= 0) return code;
  Status status = log_flags.Apply();
  auto reference = ParseFleetReference(options.name);
  if (status.ok() && !reference) status = reference.error();
  if (status.ok() && (reference->tag.empty() || !reference->digest.empty())) {
    status = InvalidArgumentError("\"" + options.name + "\": what is pushed needs a tag, NAME:TAG");
  }
  if (!status.ok()) {
    (void)cli::Fail("push", status);
    return cli::kExitMisuse;
  }
  const auto report = Push(options, *reference, context);
  if (!report) return cli::Fail("push", report.error());
  return std::fputs(report->c_str(), stdout) < 0 ? cli::kExitFailure : cli::kExitOk;
}

}  // namespace selvedge
