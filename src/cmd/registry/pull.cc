// selvedge pull NAME:TAG -o FOLDER: gets a package and lays it out in a folder.

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cmd/registry/transfer.h"
#include "cmd/registry/verbs.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;

struct PullOptions {
  std::string name;
  std::string variant;
  std::string folder;
  bool force = false;
  bool json = false;
};

std::string Report(const PullOptions& options, const Reference& reference,
                   const FetchedPackage& package) {
  if (options.json) {
    return nlohmann::json{{"name", reference.repository},     {"tag", reference.tag},
                          {"digest", package.digest},         {"title", package.index.title},
                          {"version", package.index.version}, {"variants", package.variants},
                          {"bytes", package.bytes},           {"folder", options.folder}}
               .dump(2) +
           "\n";
  }
  std::string variants;
  for (const std::string& name : package.variants) {
    variants += (variants.empty() ? "" : ", ") + name;
  }
  return options.folder + "  " + package.index.title + " " + package.index.version + " (" +
         variants + "), " + HumanBytes(package.bytes) + ", every digest verified\n" +
         package.digest + "\n";
}

// What is somebody's is not replaced unasked.
Status CheckFolder(const PullOptions& options) {
  std::error_code error;
  if (options.force || !fs::exists(options.folder, error)) return OkStatus();
  if (fs::is_directory(options.folder, error) && fs::is_empty(options.folder, error)) {
    return OkStatus();
  }
  return AlreadyExistsError(
      options.folder + " is there and not empty; give another folder, or --force to replace it");
}

// The store that it was downloaded into goes: the files are the user's alone.
void MakeOwn(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(folder, error)) {
    if (entry.is_regular_file(error)) (void)::chmod(entry.path().c_str(), 0644);
  }
}

bool HoldsAny(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(folder, error)) {
    if (entry.is_regular_file(error)) return true;
  }
  return false;
}

// Whether the same command may do better later, with what was transferred before.
bool CanGoOn(StatusCode code) {
  return code == StatusCode::kUnavailable || code == StatusCode::kDeadlineExceeded ||
         code == StatusCode::kCancelled || code == StatusCode::kAborted ||
         code == StatusCode::kResourceExhausted || code == StatusCode::kUnauthenticated;
}

// The error, and what becomes of what was transferred before it.
Status Kept(const Status& error, const std::string& partial) {
  if (CanGoOn(error.code()) && (HoldsAny(partial + "/blobs") || HoldsAny(partial + "/uploads"))) {
    return {error.code(), error.message() + " (what was transferred is kept in " + partial +
                              "; the same command goes on from there)"};
  }
  std::error_code ignored;
  fs::remove_all(partial, ignored);
  return error;
}

// It is removed in the end: nothing of somebody else's may lie there.
Status CheckPartial(const std::string& partial) {
  std::error_code error;
  if (!fs::exists(partial, error) || fs::exists(partial + "/registry.db", error)) return OkStatus();
  if (fs::is_directory(partial, error) && fs::is_empty(partial, error)) return OkStatus();
  return AlreadyExistsError(partial +
                            " is there and none of ours, but needed for the download; give "
                            "another folder or move it away");
}

Result<FetchedPackage> FetchInto(const std::string& partial, const PullOptions& options,
                                 const Reference& reference, OciClient* client) {
  const StopOnSignal stop;
  SELVEDGE_ASSIGN_OR_RETURN(const auto store, ContentStore::Open(partial));
  TransferLine line;
  auto fetched = FetchPackage(client, store.get(), reference.repository, reference.target(),
                              options.variant, /*arch=*/{}, line.Callback(), stop.token());
  line.Clear();
  if (!fetched) return fetched;
  SELVEDGE_RETURN_ERR_IF_ERROR(UnpackPackage(store.get(), *fetched, options.folder, Unpack::kLink));
  return fetched;
}

Result<std::string> Pull(const PullOptions& options, const Reference& reference,
                         const cli::ContextFlags& context) {
  SELVEDGE_ASSIGN_OR_RETURN(const cli::Connection connection, context.Resolve());
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckFolder(options));
  // Beside the folder, so that files are linked, not copied; it stays where this is cut off.
  const std::string partial = options.folder + ".partial";
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckPartial(partial));
  OciClient client(ClientOptions(connection));
  const auto package = FetchInto(partial, options, reference, &client);
  if (!package && package.error().code() == StatusCode::kFailedPrecondition) {
    return Err(package.error());  // another pull is at it
  }
  if (!package) return Err(Kept(package.error(), partial));
  std::error_code ignored;
  fs::remove_all(partial, ignored);
  MakeOwn(options.folder);
  return Report(options, reference, *package);
}

}  // namespace

int PullMain(int argc, const char* const* argv) {
  CLI::App app(
      "Gets a package from the fleet's registry into a folder; goes on where it was cut off, and "
      "verifies every digest before anything is put in place.\n"
      "Example: selvedge pull safety/person-detector:1.0 -o person-detector");
  app.name("selvedge pull");
  PullOptions options;
  app.add_option("NAME:TAG", options.name, "NAME:TAG or NAME@sha256:…")->required();
  app.add_option("--variant", options.variant, "only this one, such as int8");
  app.add_option("-o,--output", options.folder, "the folder to make")->required();
  app.add_flag("--force", options.force, "replace a folder that is there");
  app.add_flag("--json", options.json, "one JSON object");
  const cli::ContextFlags context(&app, cli::ContextFlags::Server::kRegistry);
  const cli::LogFlags log_flags(&app, "warning");
  if (const int code = cli::Parse(&app, argc, argv); code >= 0) return code;
  while (options.folder.size() > 1 && options.folder.ends_with('/')) options.folder.pop_back();
  Status status = log_flags.Apply();
  auto reference = ParseFleetReference(options.name);
  if (status.ok() && !reference) status = reference.error();
  if (!status.ok()) {
    (void)cli::Fail("pull", status);
    return cli::kExitMisuse;
  }
  const auto report = Pull(options, *reference, context);
  if (!report) return cli::Fail("pull", report.error());
  return std::fputs(report->c_str(), stdout) < 0 ? cli::kExitFailure : cli::kExitOk;
}

}  // namespace selvedge
