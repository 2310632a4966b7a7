// selvedge apply, selvedge delete

#include "cmd/fleet/applications.h"

#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cmd/fleet/table.h"
#include "cmd/fleet/verb.h"
#include "cmd/fleet/verbs.h"
#include "orchestrate/iofog.h"

namespace selvedge {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxManifest = 1 << 20;

Result<std::string> ReadManifest(const std::string& file) {
  if (file != "-") return ReadFile(file, kMaxManifest);
  std::string all;
  char buffer[4096];
  ssize_t got = 0;
  while ((got = read(STDIN_FILENO, buffer, sizeof(buffer))) > 0) {
    all.append(buffer, static_cast<std::size_t>(got));
    if (all.size() > kMaxManifest) {
      return Err(ResourceExhaustedError("the manifest on standard input is larger than 1 MiB"));
    }
  }
  return all;
}

// Names in a manifest, checked before anything is asked of the control plane.
Result<std::vector<std::string>> NamesIn(const std::string& file) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::string text, ReadManifest(file));
  SELVEDGE_ASSIGN_OR_RETURN(const auto documents, ParseDeployment(text, file));
  std::vector<std::string> names;
  for (const auto& document : documents) names.push_back(document.application.name);
  return names;
}

}  // namespace

std::string PlacementsText(const json& application, std::size_t width) {
  std::string text;
  for (const json& service : application.value("microservices", json::array())) {
    text += fmt::format("{}/{}  {}\n", fleet::Text(application, "name"),
                        fleet::Text(service, "name"), fleet::Text(service, "digest"));
    Table table({"  DEVICE", "SITE", "", "STATE OR REASON"});
    for (const json& placement : service.value("placements", json::array())) {
      const bool fits = placement.value("fits", false);
      std::string why;
      for (const json& reason : placement.value("reasons", json::array())) {
        why += (why.empty() ? "" : "; ") + (reason.is_string() ? reason.get<std::string>() : "");
      }
      if (fits) {
        why = fleet::Text(placement, "state");
        const std::string message = fleet::Text(placement, "message");
        if (!message.empty()) why += (why.empty() ? "" : ": ") + message;
      }
      table.Add({"  " + fleet::Text(placement, "device"), fleet::Text(placement, "site"),
                 fits ? "runs" : "no", why});
    }
    text += table.empty() ? "  no device is known\n" : table.ToText(width);
  }
  return text;
}

int ApplyMain(int argc, const char* const* argv) {
  fleet::VerbApp verb("apply",
                      "Applies a deployment manifest (docs/formats/application.md).\n"
                      "Example: selvedge apply -f examples/safety-monitor/edge-deployment.yaml");
  std::string file;
  bool dry_run = false;
  verb.app.add_option("-f,--file", file, "the manifest; - is standard input")->required();
  verb.app.add_flag("--dry-run", dry_run, "only says what would run where");
  if (const int code = cli::Parse(&verb.app, argc, argv); code >= 0) return code;
  const Result<std::string> manifest = ReadManifest(file);
  if (!manifest) return cli::Fail("apply", manifest.error());
  // Here already, so that the sentence has the file's own name.
  if (const auto parsed = ParseDeployment(*manifest, file); !parsed) {
    return cli::Fail("apply", parsed.error());
  }
  auto client = verb.Client();
  if (!client) return cli::Fail("apply", client.error());
  const auto answer = client->Post(std::string("/applications") + (dry_run ? "?dry_run=true" : ""),
                                   *manifest, "application/yaml");
  if (!answer) return cli::Fail("apply", answer.error());
  if (verb.json) return fleet::PrintJson(*answer);
  std::string text;
  for (const json& application : answer->value("applications", json::array())) {
    text += PlacementsText(application, fleet::TableWidth());
  }
  text += dry_run ? "dry run: nothing was changed\n" : "applied\n";
  return fleet::Print(text);
}

int DeleteMain(int argc, const char* const* argv) {
  fleet::VerbApp verb("delete",
                      "Takes applications off every device, or a device out of the fleet.\n"
                      "Example: selvedge delete application safety-monitor");
  std::string file;
  std::string name;
  verb.app.add_option("-f,--file", file, "the applications of a manifest");
  CLI::App* application = verb.app.add_subcommand("application", "one application");
  application->add_option("NAME", name)->required();
  CLI::App* device = verb.app.add_subcommand("device", "its certificate is worth nothing any more");
  device->add_option("NAME", name)->required();
  for (CLI::App* sub : {application, device}) sub->fallthrough();
  if (const int code = cli::Parse(&verb.app, argc, argv); code >= 0) return code;
  std::vector<std::string> paths;
  if (!file.empty()) {
    const auto names = NamesIn(file);
    if (!names) return cli::Fail("delete", names.error());
    for (const std::string& each : *names) paths.push_back("/applications/" + PercentEncode(each));
  } else if (application->parsed() || device->parsed()) {
    paths.push_back((device->parsed() ? "/devices/" : "/applications/") + PercentEncode(name));
  } else {
    (void)std::fputs("selvedge delete: error: say what: -f FILE, application NAME or device NAME\n",
                     stderr);
    return cli::kExitMisuse;
  }
  auto client = verb.Client();
  if (!client) return cli::Fail("delete", client.error());
  for (const std::string& path : paths) {
    if (const auto answer = client->Delete(path); !answer) {
      return cli::Fail("delete", answer.error());
    }
  }
  return verb.json ? fleet::PrintJson({{"deleted", paths.size()}}) : fleet::Print("deleted\n");
}

}  // namespace selvedge
