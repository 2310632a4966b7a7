#include "device/agent/runtime_spec.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/config.h"

namespace selvedge {
namespace {

using nlohmann::json;

constexpr double kCpuPeriodMicros = 100'000;
constexpr double kMinCpuQuotaMicros = 1'000;  // the kernel refuses less
constexpr int kOomScore = 300;                // a container goes before the agent does
constexpr std::uint64_t kMinMemory = std::uint64_t{6} << 20;  // the runtime itself needs as much
constexpr int kCloneNewUser = 0x10000000;                     // sched.h
constexpr int kNoSuchCall = 38;                               // ENOSYS

json Mount(std::string_view destination, std::string_view type, std::string_view source,
           std::vector<std::string> options) {
  return {{"destination", destination},
          {"type", type},
          {"source", source},
          {"options", std::move(options)}};
}

// Its content is copied from the image when it is mounted (an extension of runc and crun).
json MemoryFolder(const std::string& path, const std::string& mode, const ContainerUser& owner,
                  std::uint64_t bytes) {
  return Mount(path, "tmpfs", "tmpfs",
               {"nosuid", "nodev", "tmpcopyup", "mode=" + mode, "size=" + std::to_string(bytes),
                "uid=" + std::to_string(owner.uid), "gid=" + std::to_string(owner.gid)});
}

json Bind(const std::string& from, const std::string& to, bool read_only) {
  return Mount(to, "bind", from, {"bind", "rprivate", "nosuid", "nodev", read_only ? "ro" : "rw"});
}

// What every container has.
json SystemMounts() {
  json mounts = json::array();
  mounts.push_back(Mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}));
  mounts.push_back(
      Mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}));
  mounts.push_back(Mount("/dev/pts", "devpts", "devpts",
                         {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}));
  mounts.push_back(
      Mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}));
  mounts.push_back(Mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
  mounts.push_back(Mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}));
  return mounts;
}

Result<json> Mounts(const v1::ServiceSpec& spec, const ImageConfig& image,
                    const RuntimeSpecOptions& options) {
  const std::uint64_t bytes = options.tmpfs_bytes;
  std::map<std::string, json> by_path;  // in order of path: what lies above comes first
  by_path["/tmp"] = MemoryFolder("/tmp", "1777", {}, bytes);
  by_path["/var/tmp"] = MemoryFolder("/var/tmp", "1777", {}, bytes);
  by_path["/run"] = MemoryFolder("/run", "0755", {}, bytes);
  for (const std::string& path : image.volumes) {
    if (IsMountPoint(path)) by_path[path] = MemoryFolder(path, "0755", options.user, bytes);
  }
  for (const std::string& path : options.host_files) by_path[path] = Bind(path, path, true);
  for (const v1::Volume& volume : spec.volumes()) {
    if (!IsMountPoint(volume.container())) {
      return Err(FailedPreconditionError("a volume cannot be mounted on " +
                                         QuoteForMessage(volume.container()) +
                                         " in a container; choose another path"));
    }
    by_path[volume.container()] = Bind(volume.host(), volume.container(), volume.read_only());
  }
  if (!options.config_file.empty()) {
    const std::string path(kConfigInContainer);
    by_path[path] = Bind(options.config_file, path, true);
  }
  json mounts = SystemMounts();
  for (auto& [path, mount] : by_path) mounts.push_back(std::move(mount));
  return mounts;
}

json Environment(const ImageConfig& image, const RuntimeSpecOptions& options) {
  std::map<std::string, std::string> all = {
      {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
      {"HOME", options.user.home}};
  for (const std::string& entry : image.environment) {
    const std::size_t equals = entry.find('=');
    if (equals != 0 && equals != std::string::npos) {
      all[entry.substr(0, equals)] = entry.substr(equals + 1);
    }
  }
  for (const auto& [name, value] : options.variables) all[name] = value;
  if (!options.config_file.empty()) all["SELVEDGE_CONFIG_FILE"] = kConfigInContainer;
  json environment = json::array();
  for (const auto& [name, value] : all) environment.push_back(name + "=" + value);
  return environment;
}

// Root in a container keeps what common images need to hand over to a user of their own; anybody
// else may open a port below 1024, no more.
json Capabilities(const ContainerUser& user) {
  if (user.uid != 0) {
    const json port = {"CAP_NET_BIND_SERVICE"};
    return {{"bounding", port},
            {"effective", port},
            {"permitted", port},
            {"inheritable", port},
            {"ambient", port}};
  }
  const json root = {"CAP_CHOWN", "CAP_DAC_OVERRIDE",     "CAP_FOWNER",
                     "CAP_KILL",  "CAP_NET_BIND_SERVICE", "CAP_SETGID",
                     "CAP_SETUID"};
  return {{"bounding", root}, {"effective", root}, {"permitted", root}};
}

Result<json> Process(const ImageConfig& image, const RuntimeSpecOptions& options) {
  std::vector<std::string> arguments = image.entrypoint;
  arguments.insert(arguments.end(), image.command.begin(), image.command.end());
  if (arguments.empty() || arguments.front().empty()) {
    return Err(FailedPreconditionError(
        "the image does not say what to run; give it an ENTRYPOINT or a CMD"));
  }
  const std::string folder = image.folder.empty() ? "/" : image.folder;
  if (!folder.starts_with('/')) {
    return Err(FailedPreconditionError("the image's working folder " + QuoteForMessage(folder) +
                                       " is not absolute"));
  }
  return json{{"terminal", false},
              {"user",
               {{"uid", options.user.uid},
                {"gid", options.user.gid},
                {"additionalGids", options.user.groups}}},
              {"args", arguments},
              {"env", Environment(image, options)},
              {"cwd", folder},
              {"capabilities", Capabilities(options.user)},
              // No core file: it would hold what the cameras saw.
              {"rlimits", {{{"type", "RLIMIT_CORE"}, {"hard", 0}, {"soft", 0}}}},
              {"oomScoreAdj", kOomScore},
              {"noNewPrivileges", true}};
}

Result<json> ResourcesOf(const v1::Resources& wanted, const RuntimeSpecOptions& options) {
  json devices = json::array();
  devices.push_back({{"allow", false}, {"access", "rwm"}});
  for (const DeviceNode& node : options.devices) {
    devices.push_back({{"allow", true},
                       {"type", node.block ? "b" : "c"},
                       {"major", node.major},
                       {"minor", node.minor},
                       {"access", "rw"}});
  }
  json resources = {{"devices", devices}, {"pids", {{"limit", options.pids}}}};
  if (wanted.memory_bytes() > 0) {
    if (wanted.memory_bytes() < kMinMemory || wanted.memory_bytes() > INT64_MAX) {
      return Err(FailedPreconditionError("resources.memory must be at least 6Mi for a container"));
    }
    resources["memory"] = {{"limit", wanted.memory_bytes()}};
    // The same for both together: no swap.
    if (options.limit_swap) resources["memory"]["swap"] = wanted.memory_bytes();
  }
  if (wanted.cpus() > 0) {
    const double quota =
        std::clamp(wanted.cpus() * kCpuPeriodMicros, kMinCpuQuotaMicros, kCpuPeriodMicros * 4096);
    resources["cpu"] = {{"quota", static_cast<std::int64_t>(std::llround(quota))},
                        {"period", static_cast<std::int64_t>(kCpuPeriodMicros)}};
  }
  return resources;
}

// A deny list: what no microservice needs and what opens much of the kernel to whoever took one
// over. clone3(2) hides its flags from filters; without it the C library falls back to clone(2).
json Seccomp() {
  const json denied = {"_sysctl",
                       "acct",
                       "add_key",
                       "bpf",
                       "delete_module",
                       "finit_module",
                       "fsconfig",
                       "fsmount",
                       "fsopen",
                       "fspick",
                       "init_module",
                       "io_uring_enter",
                       "io_uring_register",
                       "io_uring_setup",
                       "kexec_file_load",
                       "kexec_load",
                       "keyctl",
                       "lookup_dcookie",
                       "mount",
                       "mount_setattr",
                       "move_mount",
                       "nfsservctl",
                       "open_by_handle_at",
                       "open_tree",
                       "perf_event_open",
                       "pivot_root",
                       "quotactl",
                       "reboot",
                       "request_key",
                       "setns",
                       "swapoff",
                       "swapon",
                       "syslog",
                       "umount",
                       "umount2",
                       "unshare",
                       "userfaultfd",
                       "vhangup"};
  json rules = json::array();
  rules.push_back({{"names", denied}, {"action", "SCMP_ACT_ERRNO"}, {"errnoRet", 1}});
  rules.push_back({{"names", {"clone"}},
                   {"action", "SCMP_ACT_ERRNO"},
                   {"errnoRet", 1},
                   {"args",
                    {{{"index", 0},
                      {"value", kCloneNewUser},
                      {"valueTwo", kCloneNewUser},
                      {"op", "SCMP_CMP_MASKED_EQ"}}}}});
  rules.push_back({{"names", {"clone3"}}, {"action", "SCMP_ACT_ERRNO"}, {"errnoRet", kNoSuchCall}});
  return {{"defaultAction", "SCMP_ACT_ALLOW"}, {"syscalls", rules}};
}

json Namespaces(ContainerNetwork network) {
  json namespaces = json::array();
  for (const char* type : {"pid", "ipc", "uts", "mount", "cgroup"}) {
    namespaces.push_back({{"type", type}});
  }
  if (network == ContainerNetwork::kIsolated) namespaces.push_back({{"type", "network"}});
  return namespaces;
}

json Devices(const std::vector<DeviceNode>& nodes) {
  json devices = json::array();
  for (const DeviceNode& node : nodes) {
    devices.push_back({{"path", node.path},
                       {"type", node.block ? "b" : "c"},
                       {"major", node.major},
                       {"minor", node.minor},
                       {"fileMode", node.mode},
                       {"uid", node.uid},
                       {"gid", node.gid}});
  }
  return devices;
}

Status CheckPorts(const v1::ServiceSpec& spec, ContainerNetwork network) {
  if (network == ContainerNetwork::kIsolated) return OkStatus();
  for (const v1::Port& port : spec.ports()) {
    if (port.external() == port.internal()) continue;
    return FailedPreconditionError("a container shares this device's network, so that port " +
                                   std::to_string(port.internal()) + " cannot be seen as " +
                                   std::to_string(port.external()) + "; give both the same number");
  }
  return OkStatus();
}

}  // namespace

bool IsMountPoint(std::string_view path) {
  if (!path.starts_with('/') || path.size() < 2 || path.size() > 1024 ||
      path.find('\0') != std::string_view::npos) {
    return false;
  }
  for (const std::string_view own : {"/proc", "/sys", "/dev", "/run/selvedge"}) {
    if (path == own || (path.starts_with(own) && path[own.size()] == '/')) return false;
  }
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view part = path.substr(0, path.find('/'));
    if (part.empty() || part == "." || part == "..") return false;
    path.remove_prefix(part.size());
  }
  return true;
}

Result<std::string> WriteRuntimeSpec(const v1::ServiceSpec& spec, const ImageConfig& image,
                                     const RuntimeSpecOptions& options) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckPorts(spec, options.network));
  SELVEDGE_ASSIGN_OR_RETURN(const json process, Process(image, options));
  SELVEDGE_ASSIGN_OR_RETURN(const json mounts, Mounts(spec, image, options));
  SELVEDGE_ASSIGN_OR_RETURN(const json resources, ResourcesOf(spec.resources(), options));
  json on_linux = {{"resources", resources},
                   {"cgroupsPath", "/selvedge/" + options.id},
                   {"namespaces", Namespaces(options.network)},
                   {"devices", Devices(options.devices)},
                   {"maskedPaths",
                    {"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
                     "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
                     "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware"}},
                   {"readonlyPaths",
                    {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}}};
  if (options.seccomp) on_linux["seccomp"] = Seccomp();
  const json root = {{"ociVersion", "1.0.2"},
                     {"process", process},
                     {"root", {{"path", options.root}, {"readonly", true}}},
                     {"hostname", spec.name()},
                     {"mounts", mounts},
                     {"linux", on_linux}};
  // An image's environment may be in another encoding than UTF-8.
  return root.dump(1, ' ', false, json::error_handler_t::replace);
}

}  // namespace selvedge
