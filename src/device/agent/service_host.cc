#include "device/agent/service_host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "device/agent/cgroup.h"
#include "device/agent/launch.h"
#include "device/agent/service_log.h"
#include "device/agent/spec_check.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr Nanos kGrace = 10 * kSecond;
constexpr std::size_t kMaxRecord = std::size_t{1} << 20;

// Whether a TCP port can be had at this moment.
bool PortIsFree(std::uint32_t port) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return true;
  const int on = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const bool is_free =
      bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ||
      errno != EADDRINUSE;
  close(descriptor);
  return is_free;
}

std::optional<ProcessIdentity> ReadIdentity(const std::string& file) {
  const json record = json::parse(ReadFile(file, kMaxRecord).value_or(""), nullptr, false);
  if (!record.is_object()) return std::nullopt;
  ProcessIdentity identity;
  identity.pid = record.value("pid", -1);
  identity.start_ticks = record.value("start_ticks", std::uint64_t{0});
  identity.boot = record.value("boot", "");
  return identity;
}

std::vector<std::string> OwnEnvironment() {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
  return all;
}

}  // namespace

std::string ServiceHost::FolderOf(const ServiceKey& key) const {
  return context_.options.state + "/services/" + key.FileName();
}

std::string ServiceHost::LogOf(const ServiceKey& key) const {
  return FolderOf(key) + "/output.log";
}

std::vector<v1::ServiceSpec> ServiceHost::Adopt() {
  std::vector<v1::ServiceSpec> adopted;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(context_.options.state + "/services", error)) {
    const std::string folder = entry.path().string();
    v1::ServiceSpec spec;
    const auto identity = ReadIdentity(folder + "/process.json");
    const std::string bytes = ReadFile(folder + "/spec.pb", kMaxRecord).value_or("");
    if (!identity || !spec.ParseFromString(bytes)) continue;
    std::optional<ServiceProcess> process = ServiceProcess::Find(*identity);
    if (!process) {
      fs::remove(folder + "/process.json", error);
      continue;
    }
    log::Info("agent", "a service of an earlier life still runs",
              {{"service", KeyOf(spec).ToString()}, {"pid", process->pid()}});
    running_.emplace(KeyOf(spec), Running{*std::move(process), std::nullopt,
                                          spec.kind() == v1::CONTAINER, spec});
    adopted.push_back(std::move(spec));
  }
  return adopted;
}

Status ServiceHost::CheckPorts(const v1::ServiceSpec& spec) const {
  for (const v1::Port& port : spec.ports()) {
    if (!PortIsFree(port.external())) {
      return UnavailableError("port " + std::to_string(port.external()) +
                              " of this device is taken by another program");
    }
  }
  return OkStatus();
}

// Makes folders, and puts where they really lie in place of their names: a link that a microservice
// made in one volume must not make another folder of the device a volume.
Status ServiceHost::MakeVolumes(v1::ServiceSpec* spec) const {
  std::vector<std::string> allowed;
  for (const std::string& folder : context_.allow_volumes) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (const fs::path real = fs::canonical(folder, error); !error) allowed.push_back(real);
  }
  for (v1::Volume& volume : *spec->mutable_volumes()) {
    std::error_code error;
    const fs::path meant = fs::weakly_canonical(volume.host(), error);
    if (error || !LiesIn(meant.string(), allowed)) {
      return FailedPreconditionError("the volume " + volume.host() +
                                     " leads out of the folders that this device allows");
    }
    fs::create_directories(meant, error);
    const fs::path real = error ? fs::path() : fs::canonical(meant, error);
    if (error || real != meant) {
      return FailedPreconditionError("the volume " + volume.host() + " cannot be made: " +
                                     (error ? error.message() : "it changed meanwhile"));
    }
    volume.set_host(real.string());
  }
  return OkStatus();
}

void ServiceHost::SetRuntime(std::optional<ContainerRuntime> runtime, std::string why_not) {
  runtime_known_ = true;
  runtime_ = std::move(runtime);
  why_no_runtime_ = std::move(why_not);
  if (runtime_) RemoveStrayContainers();
}

// Containers whose `runc run` was killed together with an earlier agent: nobody watches them any
// more, and what is wanted of them is started anew.
void ServiceHost::RemoveStrayContainers() {
  const std::string state = context_.options.state + "/runc";
  const auto ids = ListContainers(*runtime_, state);
  Status status = ids ? OkStatus() : ids.error();
  for (const std::string& id : ids.value_or(std::vector<std::string>())) {
    const bool ours = std::ranges::any_of(running_, [&](const auto& entry) {
      return entry.second.container && ContainerId(context_.device, entry.second.spec) == id;
    });
    if (ours) continue;
    log::Info("agent", "a container that nobody watches is removed", {{"container", id}});
    if (Status gone = DeleteContainer(*runtime_, state, id); !gone.ok()) status = std::move(gone);
  }
  if (!status.ok()) {
    log::Warning("agent", "containers of an earlier life cannot be removed",
                 {{"reason", status.message()}});
  }
}

Status ServiceHost::CheckRuntime(const v1::ServiceSpec& spec) const {
  if (spec.kind() != v1::CONTAINER) return OkStatus();
  if (!runtime_known_) {
    return UnavailableError("whether containers can run here is being found out");
  }
  if (!runtime_) return FailedPreconditionError("containers cannot run here: " + why_no_runtime_);
  return OkStatus();
}

Result<LaunchSpec> ServiceHost::PrepareContainerLaunch(const v1::ServiceSpec& spec,
                                                       const std::string& config_file) {
  ContainerContext context;
  context.runtime = *runtime_;
  context.state_folder = context_.options.state + "/runc";
  context.device = context_.device;
  context.image_folder = context_.folder_of(spec);
  context.bundle = FolderOf(KeyOf(spec)) + "/bundle";
  context.config_file = config_file;
  context.variables = ServiceVariables(spec, true);
  context.network = context_.options.container_network;
  context.devices = AcceleratorNodes(spec.resources());
  // Not a reason to give up for good: it is tried again.
  if (const Status gone =
          DeleteContainer(*runtime_, context.state_folder, ContainerId(context_.device, spec));
      !gone.ok()) {
    return Err(InternalError(gone.message()));
  }
  return PrepareContainer(spec, context);
}

Result<LaunchSpec> ServiceHost::Prepare(const v1::ServiceSpec& spec) {
  const std::string folder = FolderOf(KeyOf(spec));
  const std::string config_file = folder + "/config.json";
  SELVEDGE_RETURN_ERR_IF_ERROR(WriteFileAtomically(
      config_file, spec.config_json().empty() ? std::string("{}") : spec.config_json()));
  if (spec.kind() == v1::CONTAINER) return PrepareContainerLaunch(spec, config_file);
  LaunchContext context;
  context.device = context_.device;
  context.run_program = context_.options.run_program;
  context.agent_socket = context_.socket;
  context.config_file = config_file;
  context.cache_folder = CacheFolder();
  context.package_folder = context_.folder_of(spec);
  context.cameras = context_.options.cameras;
  context.default_camera = context_.options.default_camera;
  context.environment = OwnEnvironment();
  std::error_code error;
  return LaunchPipeline(spec, context, fs::exists(context.package_folder + "/pipeline.yaml", error),
                        fs::exists(context.package_folder + "/card.yaml", error));
}

Status ServiceHost::Record(const ServiceKey& key, const ProcessIdentity& identity) const {
  return WriteFileAtomically(
      FolderOf(key) + "/process.json",
      json{{"pid", identity.pid}, {"start_ticks", identity.start_ticks}, {"boot", identity.boot}}
          .dump());
}

Status ServiceHost::Start(const v1::ServiceSpec& wanted) {
  v1::ServiceSpec spec = wanted;
  const ServiceKey key = KeyOf(spec);
  SELVEDGE_RETURN_IF_ERROR(CheckRuntime(spec));
  if (running_.contains(key)) return FailedPreconditionError(key.ToString() + " runs already");
  std::error_code error;
  fs::create_directories(FolderOf(key), error);
  fs::permissions(FolderOf(key), fs::perms::owner_all, error);
  SELVEDGE_RETURN_IF_ERROR(CheckPorts(spec));
  SELVEDGE_RETURN_IF_ERROR(MakeVolumes(&spec));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const LaunchSpec launch, Prepare(spec));
  SELVEDGE_RETURN_IF_ERROR(
      WriteFileAtomically(FolderOf(key) + "/spec.pb", wanted.SerializeAsString()));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(
      ServiceProcess process,
      ServiceProcess::Start(launch, LogOf(key), [&](const ProcessIdentity& identity) {
        // Before it runs: nothing of it is ever without its limits.
        if (spec.kind() == v1::PIPELINE && WantsLimits(spec.resources())) {
          SELVEDGE_RETURN_IF_ERROR(
              LimitProcess("", ContainerId(context_.device, spec), spec.resources(), identity.pid));
        }
        return Record(key, identity);
      }));
  log::Info("agent", "service started", {{"service", key.ToString()}, {"pid", process.pid()}});
  running_.emplace(key,
                   Running{std::move(process), std::nullopt, spec.kind() == v1::CONTAINER, wanted});
  return OkStatus();
}

void ServiceHost::Stop(const ServiceKey& key, Nanos now) {
  const auto found = running_.find(key);
  if (found == running_.end() || found->second.kill_at) return;
  found->second.process.Signal(SIGTERM);
  found->second.kill_at = now + kGrace;
}

std::vector<ServiceHost::Ended> ServiceHost::Reap(Nanos now) {
  std::vector<Ended> ended;
  for (auto entry = running_.begin(); entry != running_.end();) {
    Running& running = entry->second;
    if (running.process.Ended()) {
      std::error_code error;
      fs::remove(FolderOf(entry->first) + "/process.json", error);
      if (running.container && runtime_) {
        const Status gone = DeleteContainer(*runtime_, context_.options.state + "/runc",
                                            ContainerId(context_.device, running.spec));
        if (!gone.ok()) {
          log::Warning("agent", "a container's remains cannot be removed",
                       {{"service", entry->first.ToString()}, {"reason", gone.message()}});
        }
      }
      if (!running.container && WantsLimits(running.spec.resources())) {
        RemoveLimits("", ContainerId(context_.device, running.spec));
      }
      std::string how = running.process.how();
      if (const std::string words = LastWords(LogOf(entry->first)); !words.empty()) {
        how += "; it said: " + words;
      }
      ended.push_back({entry->first, std::move(how)});
      entry = running_.erase(entry);
      continue;
    }
    if (running.kill_at && now >= *running.kill_at) {
      running.process.Signal(SIGKILL);
      running.kill_at = now + kGrace;
    }
    ++entry;
  }
  return ended;
}

std::optional<Nanos> ServiceHost::NextTime() const {
  std::optional<Nanos> next;
  for (const auto& [key, running] : running_) {
    if (running.kill_at && (!next || *running.kill_at < *next)) next = running.kill_at;
  }
  return next;
}

std::vector<int> ServiceHost::Descriptors() const {
  std::vector<int> descriptors;
  for (const auto& [key, running] : running_) {
    if (running.process.descriptor() >= 0) descriptors.push_back(running.process.descriptor());
  }
  return descriptors;
}

void ServiceHost::Forget(const ServiceKey& key) {
  std::error_code error;
  if (!running_.contains(key)) fs::remove_all(FolderOf(key), error);
}

void ServiceHost::TrimLogs() {
  for (const auto& [key, running] : running_) {
    if (const auto trimmed = TrimLog(LogOf(key), context_.options.log_bytes); !trimmed) {
      log::Warning("agent", "a service's log cannot be trimmed",
                   {{"service", key.ToString()}, {"reason", trimmed.error().message()}});
    }
  }
}

}  // namespace selvedge
