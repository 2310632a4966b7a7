#include "cmd/agent/serve.h"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <filesystem>
#include <future>
#include <random>
#include <utility>

#include "base/backoff.h"
#include "base/file.h"
#include "base/log.h"
#include "base/log_copy.h"
#include "device/agent/agent.h"
#include "net/join_client.h"
#include "trust/token.h"

namespace selvedge {
namespace {

constexpr std::size_t kMaxToken = std::size_t{16} * 1024;

struct Command {
  AgentOptions options;
  std::string file;
  std::string join;
  std::string name;
  std::string state;
  std::vector<std::string> labels;
  std::vector<std::string> cameras;
  std::vector<std::string> volumes;
};

void AddOptions(CLI::App* app, Command* command) {
  app->add_option("--config", command->file, "agent.yaml; the options below come before it");
  app->add_option("--join", command->join,
                  "join token, or @FILE that holds it; needed for the first start only")
      ->envname("SELVEDGE_JOIN_TOKEN");
  app->add_option("--name", command->name, "its name in the fleet; default: the host's")
      ->envname("SELVEDGE_NAME");
  app->add_option("--state", command->state,
                  "folder for its key, database, packages; default /var/lib/selvedge-agent");
  app->add_option("--label", command->labels, "KEY=VALUE, for placement; may be repeated");
  app->add_option("--camera", command->cameras,
                  "NAME=URI of something it sees; may be repeated, the first is the default");
  app->add_option("--allow-volume", command->volumes,
                  "a folder that manifests may use; may be repeated; default /var/edge-models");
  app->add_option("--broker", command->options.broker,
                  "mqtts://HOST:PORT in place of what joining said, as for a tunnel");
  app->add_option("--proxy", command->options.proxy, "http://HOST:PORT for every connection")
      ->envname("SELVEDGE_PROXY");
}

std::string HostName() {
  std::array<char, 256> name = {};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "device";
}

Result<AgentOptions> Complete(Command command) {
  AgentOptions& options = command.options;
  if (!command.file.empty()) {
    AgentOptions from_file = options;
    SELVEDGE_RETURN_ERR_IF_ERROR(ReadAgentFile(command.file, &from_file));
    if (!options.broker.empty()) from_file.broker = options.broker;
    if (!options.proxy.empty()) from_file.proxy = options.proxy;
    options = std::move(from_file);
  }
  if (!command.name.empty()) options.name = command.name;
  if (options.name.empty()) options.name = NodeNameOf(HostName());
  if (!command.state.empty()) options.state = command.state;
  options.state = std::filesystem::absolute(options.state).lexically_normal().string();
  for (const std::string& label : command.labels) {
    SELVEDGE_RETURN_ERR_IF_ERROR(AddPair("--label", label, &options.labels));
  }
  for (const std::string& camera : command.cameras) {
    SELVEDGE_RETURN_ERR_IF_ERROR(AddCamera(camera, &options));
  }
  options.allow_volumes.insert(options.allow_volumes.end(), command.volumes.begin(),
                               command.volumes.end());
  if (!command.join.empty()) {
    options.token = command.join;
    if (command.join.starts_with('@')) {
      SELVEDGE_ASSIGN_OR_RETURN(options.token, ReadFile(command.join.substr(1), kMaxToken));
    }
  }
  if (options.run_program.empty()) {
    SELVEDGE_ASSIGN_OR_RETURN(const std::string folder, ExecutableFolder());
    options.run_program = folder + "/selvedge-run";
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckAgentOptions(options));
  return std::move(options);
}

bool WorthAnotherTry(const Status& status) {
  return status.code() == StatusCode::kUnavailable ||
         status.code() == StatusCode::kDeadlineExceeded ||
         status.code() == StatusCode::kResourceExhausted;
}

// The identity that is kept, or a new one, however long the control plane is away.
Result<NodeIdentity> Identity(const AgentOptions& options, const cli::Termination& termination) {
  const std::string folder = options.state + "/identity";
  auto kept = LoadIdentity(folder);
  if (kept || kept.error().code() != StatusCode::kNotFound) return kept;
  if (options.token.empty()) {
    return Err(FailedPreconditionError(
        "this device has not joined a fleet: make a token with `selvedge token create --site "
        "NAME` where the control plane is, and give it with --join"));
  }
  SELVEDGE_ASSIGN_OR_RETURN(const JoinToken token, ParseJoinToken(options.token));
  if (token.role != "device") {
    return Err(InvalidArgumentError("this join token is for a " + token.role +
                                    "; make one with `selvedge token create --site " + token.site +
                                    "`"));
  }
  JoinOptions join;
  join.name = options.name;
  join.proxy = options.proxy;
  std::mt19937_64 engine{std::random_device{}()};
  Backoff backoff(kSecond, 30 * kSecond,
                  [&engine] { return std::uniform_real_distribution<double>(0, 1)(engine); });
  std::stop_source stop;
  join.stop = stop.get_token();
  while (true) {
    auto joining = std::async(std::launch::async, [&] { return JoinFleet(folder, token, join); });
    while (joining.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      if (termination.Wait(50 * kMillisecond) == 0) continue;
      stop.request_stop();
      (void)joining.get();
      return Err(CancelledError("told to end while joining"));
    }
    auto joined = joining.get();
    if (joined || !WorthAnotherTry(joined.error())) return joined;
    log::Warning("agent", "not joined yet; trying again", {{"reason", joined.error().message()}});
    if (termination.Wait(backoff.Next()) != 0) return Err(CancelledError("told to end"));
  }
}

// The agent's own lines, for who asks for them from afar; the agent keeps the file small.
void KeepLog(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  const std::string path = folder + "/agent.log";
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) {
    log::Warning("agent", "its own log cannot be kept",
                 {{"reason", ErrnoError(errno, path).message()}});
    return;
  }
  log::CopyTo([file](std::string_view line) {
    [[maybe_unused]] const auto written = write(file, line.data(), line.size());
  });
}

}  // namespace

int AgentMain(int argc, const char* const* argv, const cli::Termination& termination) {
  CLI::App app(
      "A device's agent: joins a fleet, runs what is desired, reports, keeps events until they are "
      "delivered.\n"
      "Example: selvedge agent --join slv1.… --label hardware=jetson --camera "
      "yard=rtsp://camera.local/stream",
      "selvedge agent");
  Command command;
  AddOptions(&app, &command);
  const cli::LogFlags log_flags(&app);
  if (const int code = cli::Parse(&app, argc, argv); code >= 0) return code;
  if (const Status status = log_flags.Apply(); !status.ok()) return cli::Fail("agent", status);
  Result<AgentOptions> options = Complete(std::move(command));
  if (!options) {
    cli::Fail("agent", options.error());
    return options.error().code() == StatusCode::kInvalidArgument ? cli::kExitMisuse
                                                                  : cli::kExitFailure;
  }
  KeepLog(options->state);
  const Result<NodeIdentity> identity = Identity(*options, termination);
  if (!identity) {
    if (identity.error().code() == StatusCode::kCancelled) return cli::kExitOk;
    return cli::Fail("agent", identity.error());
  }
  if (identity->role != "device") {
    return cli::Fail("agent",
                     FailedPreconditionError(options->state + " belongs to a " + identity->role +
                                             "; name another folder with --state"));
  }
  if (identity->name != options->name) {
    log::Info("agent", "it keeps the name under which it joined", {{"name", identity->name}});
  }
  AgentSetup setup;
  setup.options = *std::move(options);
  setup.identity = *identity;
  setup.version = SELVEDGE_VERSION;
  auto agent = Agent::Start(std::move(setup));
  if (!agent) return cli::Fail("agent", agent.error());
  log::Info("agent", "serving", {{"device", identity->name}, {"site", identity->site}});
  while (termination.Wait(3600 * kSecond) == 0) {
  }
  (*agent)->Stop();
  return cli::kExitOk;
}

}  // namespace selvedge
