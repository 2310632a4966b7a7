#include "device/agent/container.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "base/child_process.h"
#include "base/config.h"
#include "base/file.h"
#include "device/agent/root_folder.h"

namespace selvedge {
namespace {

constexpr Nanos kRuntimePatience = 30 * kSecond;
constexpr std::size_t kMaxOutput = std::size_t{64} * 1024;
constexpr std::size_t kMaxUserFile = std::size_t{1} << 20;
constexpr std::size_t kMaxNodes = 64;

bool Exists(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

// Runs it to its end; its output, or an error that holds what it said.
Result<std::string> RunToEnd(const std::string& program, std::vector<std::string> arguments,
                             const std::string& what) {
  char name[] = "/tmp/selvedge-runtime-XXXXXX";
  const OwnedDescriptor output(mkostemp(name, O_CLOEXEC));
  if (!output.ok()) return Err(ErrnoError(errno, "a file for the output of " + program));
  unlink(name);
  auto child = ChildProcess::Start({.program = program,
                                    .arguments = std::move(arguments),
                                    .environment = {},
                                    .folder = {},
                                    .output_file = {},
                                    .output_descriptor = output.get()});
  if (!child) return Err(std::move(child).error());
  const std::optional<int> code = child->Wait(kRuntimePatience);
  if (!code) {
    child->Stop(0);
    return Err(DeadlineExceededError(what + ": " + program + " took longer than 30 s"));
  }
  std::string said(kMaxOutput, '\0');
  const ssize_t size = pread(output.get(), said.data(), said.size(), 0);
  said.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  if (*code == 0) return said;
  while (!said.empty() && said.back() == '\n') said.pop_back();
  const std::size_t last = said.rfind('\n');
  return Err(FailedPreconditionError(
      what + ": " + program + " ended with " + std::to_string(*code) + ": " +
      QuoteForMessage(last == std::string::npos ? said : said.substr(last + 1))));
}

std::string FindProgram(const std::string& name) {
  const char* path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  std::string folders = path != nullptr ? path : "";
  // Where distributions put it, which the PATH of a service need not have.
  folders += ":/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/sbin:/bin";
  for (std::size_t begin = 0; begin <= folders.size();) {
    const std::size_t end = std::min(folders.find(':', begin), folders.size());
    const std::string file = folders.substr(begin, end - begin) + "/" + name;
    if (file.starts_with('/') && access(file.c_str(), X_OK) == 0) return file;
    begin = end + 1;
  }
  return {};
}

// Which limits the kernel can set; version 2 of control groups, or 1.
void ReadControllers(const std::string& root, ContainerRuntime* runtime) {
  const std::string base = root + "/sys/fs/cgroup";
  // Below /proc and /sys files have no size: a limit, not a length.
  const auto unified = ReadFile(base + "/cgroup.controllers", 4096);
  const bool swap_there =
      std::ranges::count(ReadFile(root + "/proc/swaps", 64 * 1024).value_or(""), '\n') > 1;
  if (unified) {
    std::string words = " " + *unified + " ";
    std::ranges::replace(words, '\n', ' ');
    const auto has = [&](const char* name) { return words.find(name) != std::string::npos; };
    runtime->memory = has(" memory ");
    runtime->cpu = has(" cpu ");
    runtime->pids = has(" pids ");
    runtime->swap = runtime->memory && swap_there;
    return;
  }
  runtime->memory = Exists(base + "/memory/memory.limit_in_bytes");
  runtime->cpu = Exists(base + "/cpu/cpu.shares") || Exists(base + "/cpu,cpuacct/cpu.shares");
  runtime->pids = Exists(base + "/pids");
  runtime->swap = swap_there && Exists(base + "/memory/memory.memsw.limit_in_bytes");
}

std::string FirstLine(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace

Result<ContainerRuntime> FindContainerRuntime(const std::string& program, const std::string& root) {
  ContainerRuntime runtime;
  runtime.program = program.empty() ? FindProgram("runc") : program;
  if (runtime.program.empty() || access(runtime.program.c_str(), X_OK) != 0) {
    return Err(NotFoundError("there is no OCI runtime on this machine; install runc"));
  }
  if (geteuid() != 0) {
    return Err(FailedPreconditionError("containers need root; run the agent as root"));
  }
  SELVEDGE_ASSIGN_OR_RETURN(
      const std::string about,
      RunToEnd(runtime.program, {"--version"}, "the OCI runtime does not say its version"));
  runtime.version = FirstLine(about);
  if (const std::size_t word = runtime.version.find(" version "); word != std::string::npos) {
    runtime.version.erase(word, 8);
  }
  runtime.seccomp = about.find("libseccomp") != std::string::npos;
  if (!Exists(root + "/sys/fs/cgroup/cgroup.controllers") &&
      !Exists(root + "/sys/fs/cgroup/devices")) {
    return Err(FailedPreconditionError(
        "control groups are not mounted at /sys/fs/cgroup, which containers need"));
  }
  ReadControllers(root, &runtime);
  return runtime;
}

namespace {

// A root folder in which this machine's own programs can be seen, and nothing else of it.
Status ShowPrograms(const std::string& rootfs, v1::ServiceSpec* spec) {
  if (mkdir(rootfs.c_str(), 0755) != 0) return ErrnoError(errno, rootfs);
  for (const char* path : {"/bin", "/lib", "/lib64", "/usr"}) {
    std::error_code error;
    const auto type = std::filesystem::symlink_status(path, error).type();
    if (type == std::filesystem::file_type::symlink) {
      std::filesystem::copy_symlink(path, rootfs + path, error);
      if (error) return ErrnoError(error.value(), rootfs + path);
    } else if (type == std::filesystem::file_type::directory) {
      v1::Volume* volume = spec->add_volumes();
      volume->set_host(path);
      volume->set_container(path);
      volume->set_read_only(true);
    }
  }
  return OkStatus();
}

Status TryIn(const ContainerRuntime& runtime, const std::string& state_folder,
             const std::string& scratch) {
  const std::string id = "selvedge-try-" + std::to_string(getpid());
  ImageConfig image;
  image.entrypoint = {"true"};
  v1::ServiceSpec spec;
  spec.set_name("try");
  RuntimeSpecOptions options;
  options.id = id;
  options.root = scratch + "/rootfs";
  options.seccomp = runtime.seccomp;
  SELVEDGE_RETURN_IF_ERROR(ShowPrograms(options.root, &spec));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string config,
                                   WriteRuntimeSpec(spec, image, options));
  SELVEDGE_RETURN_IF_ERROR(WriteFileAtomically(scratch + "/config.json", config));
  const auto run =
      RunToEnd(runtime.program, {"--root", state_folder, "run", "--bundle", scratch, id},
               "containers cannot be started on this machine");
  const Status deleted = DeleteContainer(runtime, state_folder, id);
  return run ? deleted : run.error();
}

}  // namespace

Status TryContainerRuntime(const ContainerRuntime& runtime, const std::string& state_folder,
                           const std::string& scratch) {
  SELVEDGE_RETURN_IF_ERROR(RemoveTree(scratch));
  if (mkdir(scratch.c_str(), 0700) != 0) return ErrnoError(errno, scratch);
  const Status tried = TryIn(runtime, state_folder, scratch);
  const Status removed = RemoveTree(scratch);
  return tried.ok() ? removed : tried;
}

Result<UnpackedLayers> UnpackImage(const OciImage& image, const std::string& folder,
                                   const UnpackOptions& options) {
  const std::string partial = folder + ".partial";
  SELVEDGE_RETURN_ERR_IF_ERROR(RemoveTree(partial));
  // What is in it belongs to users that are somebody else here.
  if (mkdir(partial.c_str(), 0700) != 0) return Err(ErrnoError(errno, partial));
  Result<UnpackedLayers> unpacked = UnpackLayers(image.layers, partial + "/rootfs", options);
  Status status = unpacked ? WriteFileAtomically(partial + "/image.json", image.config_bytes)
                           : unpacked.error();
  if (status.ok()) status = RemoveTree(folder);
  if (status.ok() && rename(partial.c_str(), folder.c_str()) != 0) {
    status = ErrnoError(errno, folder);
  }
  if (!status.ok()) {
    (void)RemoveTree(partial);
    return Err(std::move(status));
  }
  return unpacked;
}

bool IsUnpackedImage(const std::string& folder) {
  return Exists(folder + "/image.json") && Exists(folder + "/rootfs");
}

std::string ContainerId(std::string_view device, const v1::ServiceSpec& spec) {
  return std::string(device) + "." + spec.application() + "." + spec.name();
}

namespace {

Status CheckLimits(const v1::Resources& wanted, const ContainerRuntime& runtime) {
  if (wanted.memory_bytes() > 0 && !runtime.memory) {
    return FailedPreconditionError(
        "this kernel cannot limit a container's memory (resources.memory); on a Raspberry Pi boot "
        "with cgroup_enable=memory");
  }
  if (wanted.cpus() > 0 && !runtime.cpu) {
    return FailedPreconditionError(
        "this kernel cannot limit a container's processor time (resources.cpus)");
  }
  return OkStatus();
}

// Empty where the image has none.
Result<std::string> ReadOptional(const RootFolder& root, const std::string& path) {
  auto content = root.Read(path, kMaxUserFile);
  if (!content && content.error().code() == StatusCode::kNotFound) return std::string();
  return content;
}

Result<ContainerUser> UserOf(const ImageConfig& image, const std::string& rootfs) {
  SELVEDGE_ASSIGN_OR_RETURN(const RootFolder root, RootFolder::Open(rootfs));
  SELVEDGE_ASSIGN_OR_RETURN(const std::string passwd, ReadOptional(root, "etc/passwd"));
  SELVEDGE_ASSIGN_OR_RETURN(const std::string group, ReadOptional(root, "etc/group"));
  return ResolveUser(image.user, passwd, group);
}

Status MakeFolders(const std::string& path, mode_t mode) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return ErrnoError(error.value(), path);
  if (chmod(path.c_str(), mode) != 0) return ErrnoError(errno, path);
  return OkStatus();
}

}  // namespace

Result<LaunchSpec> PrepareContainer(const v1::ServiceSpec& spec, const ContainerContext& context) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckLimits(spec.resources(), context.runtime));
  const std::string rootfs = context.image_folder + "/rootfs";
  SELVEDGE_ASSIGN_OR_RETURN(const std::string config_bytes,
                            ReadFile(context.image_folder + "/image.json", kMaxImageConfigBytes));
  SELVEDGE_ASSIGN_OR_RETURN(const ImageConfig image, ParseImageConfig(config_bytes));
  RuntimeSpecOptions options{.id = ContainerId(context.device, spec),
                             .root = rootfs,
                             .user = {},
                             .variables = context.variables,
                             .config_file = context.config_file,
                             .host_files = {},
                             .devices = context.devices,
                             .network = context.network,
                             .seccomp = context.runtime.seccomp,
                             .limit_swap = context.runtime.swap};
  SELVEDGE_ASSIGN_OR_RETURN(options.user, UserOf(image, rootfs));
  options.variables["SELVEDGE_DEVICE"] = context.device;
  if (context.network == ContainerNetwork::kHost) {
    // Names mean to it what they mean to the device.
    for (const char* path : {"/etc/hosts", "/etc/resolv.conf"}) {
      if (Exists(path)) options.host_files.emplace_back(path);
    }
  }
  for (const v1::Volume& volume : spec.volumes()) {
    if (!Exists(volume.host())) {
      return Err(FailedPreconditionError("the volume " + QuoteForMessage(volume.host()) +
                                         " is not there on this device"));
    }
  }
  SELVEDGE_ASSIGN_OR_RETURN(const std::string config, WriteRuntimeSpec(spec, image, options));
  SELVEDGE_RETURN_ERR_IF_ERROR(MakeFolders(context.bundle, 0700));
  SELVEDGE_RETURN_ERR_IF_ERROR(MakeFolders(context.state_folder, 0700));
  // It holds the service's environment.
  SELVEDGE_RETURN_ERR_IF_ERROR(WriteSecretFile(context.bundle + "/config.json", config));
  LaunchSpec launch;
  launch.arguments = {context.runtime.program, "--root",  context.state_folder, "run", "--bundle",
                      context.bundle,          options.id};
  launch.environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  launch.folder = context.bundle;
  return launch;
}

Status DeleteContainer(const ContainerRuntime& runtime, const std::string& state_folder,
                       const std::string& id) {
  if (!Exists(state_folder + "/" + id)) return OkStatus();
  auto deleted = RunToEnd(runtime.program, {"--root", state_folder, "delete", "--force", id},
                          "the container " + id + " cannot be removed");
  return deleted ? OkStatus() : std::move(deleted).error();
}

Result<std::vector<std::string>> ListContainers(const ContainerRuntime& runtime,
                                                const std::string& state_folder) {
  if (!Exists(state_folder)) return std::vector<std::string>();
  SELVEDGE_ASSIGN_OR_RETURN(const std::string said,
                            RunToEnd(runtime.program, {"--root", state_folder, "list", "--quiet"},
                                     "the containers on this machine cannot be listed"));
  std::vector<std::string> ids;
  for (std::size_t begin = 0; begin < said.size();) {
    const std::size_t end = std::min(said.find('\n', begin), said.size());
    if (end > begin) ids.push_back(said.substr(begin, end - begin));
    begin = end + 1;
  }
  return ids;
}

namespace {

bool BeginsWithOneOf(std::string_view name, std::span<const std::string_view> prefixes) {
  return std::ranges::any_of(prefixes, [&](auto prefix) { return name.starts_with(prefix); });
}

void AddNodes(const std::string& root, const std::string& folder,
              std::span<const std::string_view> prefixes, std::vector<DeviceNode>* nodes) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root + folder, error)) {
    const std::string name = entry.path().filename();
    struct stat about{};
    if (!BeginsWithOneOf(name, prefixes) || lstat(entry.path().c_str(), &about) != 0) continue;
    if (!S_ISCHR(about.st_mode) || nodes->size() >= kMaxNodes) continue;
    nodes->push_back({.path = folder + "/" + name,
                      .block = false,
                      .major = major(about.st_rdev),
                      .minor = minor(about.st_rdev),
                      .mode = about.st_mode & 0777,
                      .uid = about.st_uid,
                      .gid = about.st_gid});
  }
}

}  // namespace

std::vector<DeviceNode> AcceleratorNodes(const v1::Resources& resources, const std::string& root) {
  static constexpr std::array<std::string_view, 4> kGpu = {"nvidia", "nvhost-", "nvmap", "nvgpu"};
  static constexpr std::array<std::string_view, 1> kRender = {"renderD"};
  static constexpr std::array<std::string_view, 1> kTpu = {"apex_"};
  std::vector<DeviceNode> nodes;
  if (resources.gpu() > 0) {
    AddNodes(root, "/dev", kGpu, &nodes);
    AddNodes(root, "/dev/dri", kRender, &nodes);
  }
  if (resources.tpu() > 0) AddNodes(root, "/dev", kTpu, &nodes);
  std::ranges::sort(nodes, {}, &DeviceNode::path);
  return nodes;
}

}  // namespace selvedge
