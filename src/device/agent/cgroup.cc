#include "device/agent/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <vector>

namespace selvedge {
namespace {

constexpr const char* kTop = "/sys/fs/cgroup";
constexpr const char* kParent = "/selvedge";
constexpr std::uint64_t kPeriodMicros = 100'000;

bool IsUnified(const std::string& root) {
  struct stat info{};
  return stat((root + kTop + "/cgroup.controllers").c_str(), &info) == 0;
}

Status Refused(const std::string& what, int error) {
  return FailedPreconditionError("the limits of the manifest cannot be set on this device: " +
                                 ErrnoError(error, what).message());
}

Status WriteTo(const std::string& file, const std::string& text) {
  const int fd = open(file.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return Refused(file, errno);
  const ssize_t written = write(fd, text.data(), text.size());
  const int error = errno;
  close(fd);
  return written == static_cast<ssize_t>(text.size()) ? OkStatus() : Refused(file, error);
}

Status MakeFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return OkStatus();
  return Refused(path, errno);
}

std::string QuotaMicros(double cpus) {
  const double micros = std::ceil(cpus * static_cast<double>(kPeriodMicros));
  return std::to_string(static_cast<std::uint64_t>(std::clamp(micros, 1000.0, 1e12)));
}

struct Setting {
  std::string file;
  std::string value;
  bool where_there = false;  // passed over where the kernel does not have it: it counts no swap
};

Status Apply(const std::string& group, const std::vector<Setting>& settings, pid_t pid) {
  for (const Setting& setting : settings) {
    if (setting.where_there && access((group + "/" + setting.file).c_str(), F_OK) != 0) continue;
    SELVEDGE_RETURN_IF_ERROR(WriteTo(group + "/" + setting.file, setting.value));
  }
  return WriteTo(group + "/cgroup.procs", std::to_string(pid));
}

Status LimitUnified(const std::string& top, const std::string& id, const v1::Resources& resources,
                    pid_t pid) {
  const std::string parent = top + kParent;
  // A controller has to be handed down at every level.
  std::string wanted;
  std::vector<Setting> settings;
  if (resources.memory_bytes() > 0) {
    wanted = "+memory";
    settings.push_back({"memory.max", std::to_string(resources.memory_bytes())});
    settings.push_back({"memory.swap.max", "0", true});
  }
  if (resources.cpus() > 0) {
    wanted += wanted.empty() ? "+cpu" : " +cpu";
    settings.push_back(
        {"cpu.max", QuotaMicros(resources.cpus()) + " " + std::to_string(kPeriodMicros)});
  }
  SELVEDGE_RETURN_IF_ERROR(WriteTo(top + "/cgroup.subtree_control", wanted));
  SELVEDGE_RETURN_IF_ERROR(MakeFolder(parent));
  SELVEDGE_RETURN_IF_ERROR(WriteTo(parent + "/cgroup.subtree_control", wanted));
  SELVEDGE_RETURN_IF_ERROR(MakeFolder(parent + "/" + id));
  return Apply(parent + "/" + id, settings, pid);
}

Status LimitOne(const std::string& controller, const std::string& id,
                const std::vector<Setting>& settings, pid_t pid) {
  SELVEDGE_RETURN_IF_ERROR(MakeFolder(controller + kParent));
  SELVEDGE_RETURN_IF_ERROR(MakeFolder(controller + kParent + "/" + id));
  return Apply(controller + kParent + "/" + id, settings, pid);
}

}  // namespace

bool WantsLimits(const v1::Resources& resources) {
  return resources.memory_bytes() > 0 || resources.cpus() > 0;
}

Status LimitProcess(const std::string& root, const std::string& id, const v1::Resources& resources,
                    pid_t pid) {
  const std::string top = root + kTop;
  if (IsUnified(root)) return LimitUnified(top, id, resources, pid);
  if (resources.memory_bytes() > 0) {
    const std::string bytes = std::to_string(resources.memory_bytes());
    // Memory and swap together may not be less than memory: its limit comes first.
    SELVEDGE_RETURN_IF_ERROR(LimitOne(
        top + "/memory", id,
        {{"memory.limit_in_bytes", bytes}, {"memory.memsw.limit_in_bytes", bytes, true}}, pid));
  }
  if (resources.cpus() > 0) {
    SELVEDGE_RETURN_IF_ERROR(LimitOne(top + "/cpu", id,
                                      {{"cpu.cfs_period_us", std::to_string(kPeriodMicros)},
                                       {"cpu.cfs_quota_us", QuotaMicros(resources.cpus())}},
                                      pid));
  }
  return OkStatus();
}

void RemoveLimits(const std::string& root, const std::string& id) {
  for (const char* controller : {"", "/memory", "/cpu"}) {
    (void)rmdir((root + kTop + controller + kParent + "/" + id).c_str());
  }
}

}  // namespace selvedge
