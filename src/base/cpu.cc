#include "base/cpu.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ctime>
#include <optional>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace selvedge {
namespace {

constexpr std::size_t kProcFileLimit = 4U << 20;  // /proc/cpuinfo of some hundred processors

std::string ReadOrEmpty(const std::string& path) {
  return ReadFile(path, kProcFileLimit).value_or(std::string());
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return parts;
}

std::string_view Trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1);
}

std::optional<double> ToNumber(std::string_view text) {
  text = Trim(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

// "max 100000" or "150000 100000" (cgroup v2 cpu.max): processors, 0 for no limit.
double QuotaV2(const std::string& folder) {
  const std::string text = ReadOrEmpty(folder + "/cpu.max");
  const std::vector<std::string_view> words = Split(Trim(text), ' ');
  if (words.size() != 2) return 0;
  const auto quota = ToNumber(words[0]);
  const auto period = ToNumber(words[1]);
  return quota && period && *quota > 0 && *period > 0 ? *quota / *period : 0;
}

// cpu.cfs_quota_us (-1: no limit) and cpu.cfs_period_us (cgroup v1): processors, 0 for no limit.
double QuotaV1(const std::string& folder) {
  const auto quota = ToNumber(ReadOrEmpty(folder + "/cpu.cfs_quota_us"));
  const auto period = ToNumber(ReadOrEmpty(folder + "/cpu.cfs_period_us"));
  return quota && period && *quota > 0 && *period > 0 ? *quota / *period : 0;
}

double Tighter(double a, double b) {
  if (a <= 0) return b;
  if (b <= 0) return a;
  return std::min(a, b);
}

// The tightest quota of `group` and of all its parents below `mount`. In a container the group's
// path may be the host's and not exist here; the mount itself is then the group.
double TightestQuota(const std::string& mount, std::string_view group,
                     double (*quota)(const std::string&)) {
  double tightest = quota(mount);
  if (group.find("..") != std::string_view::npos) return tightest;
  while (group.size() > 1) {
    tightest = Tighter(tightest, quota(mount + std::string(group)));
    group = group.substr(0, group.rfind('/'));
  }
  return tightest;
}

// The value after `key` and a colon in the lines of /proc/cpuinfo and /proc/self/status.
std::string_view ValueOf(std::string_view text, std::string_view key) {
  for (std::string_view line : Split(text, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && Trim(line.substr(0, colon)) == key) {
      return Trim(line.substr(colon + 1));
    }
  }
  return {};
}

// Kinds of cores of an ARM processor, "0x41/0xd0b+0x41/0xd05": big.LITTLE has several.
std::string ArmCores(std::string_view cpuinfo) {
  std::string cores;
  std::string_view implementer;
  for (std::string_view line : Split(cpuinfo, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view key = Trim(line.substr(0, colon));
    const std::string_view value = Trim(line.substr(colon + 1));
    if (key == "CPU implementer") implementer = value;
    if (key != "CPU part") continue;
    const std::string core = std::string(implementer) + '/' + std::string(value);
    if (cores.find(core) == std::string::npos) cores += (cores.empty() ? "" : "+") + core;
  }
  return cores;
}

Nanos ReadCpuClock(clockid_t id) {
  timespec ts{};
  clock_gettime(id, &ts);
  return ts.tv_sec * kSecond + ts.tv_nsec;
}

long StatusBytes(std::string_view key) {
  const std::string status = ReadOrEmpty("/proc/self/status");
  const auto kibibytes = ToNumber(ValueOf(status, key));
  return kibibytes ? static_cast<long>(*kibibytes) * 1024 : 0;
}

}  // namespace

double CgroupCpuQuota(const std::string& root) {
  const std::string hierarchies = ReadOrEmpty(root + "/proc/self/cgroup");
  double tightest = 0;
  for (std::string_view line : Split(hierarchies, '\n')) {
    // "0::/path" (v2) or "4:cpu,cpuacct:/path" (v1)
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string_view group = line.substr(second + 1);
    if (controllers.empty()) {
      tightest = Tighter(tightest, TightestQuota(root + "/sys/fs/cgroup", group, QuotaV2));
      continue;
    }
    const std::vector<std::string_view> names = Split(controllers, ',');
    if (std::ranges::find(names, "cpu") == names.end()) continue;
    for (const std::string& name : {std::string(controllers), std::string("cpu")}) {
      tightest = Tighter(tightest, TightestQuota(root + "/sys/fs/cgroup/" + name, group, QuotaV1));
    }
  }
  return tightest;
}

int UsableCpus() {
  long count = std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN));
  // More processors than cpu_set_t holds make this fail: then the affinity mask is not looked at.
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    count = std::min(count, static_cast<long>(CPU_COUNT(&allowed)));
  }
  const double quota = CgroupCpuQuota("");
  if (quota > 0) count = std::min(count, static_cast<long>(std::ceil(quota)));
  return static_cast<int>(std::max(1L, count));
}

std::string MachineArchitecture() {
  utsname names{};
  return ::uname(&names) == 0 ? names.machine : "unknown";
}

std::string CpuFingerprintFrom(std::string_view cpuinfo) {
  // In the order they are printed; what engines choose their kernels by.
  static constexpr std::string_view kSets[] = {
      "sse4_2",   "avx",      "f16c",        "fma",         "avx2",        "avx_vnni", "avx512f",
      "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8",
      "amx_bf16", "neon",     "asimd",       "fphp",        "asimdhp",     "asimddp",  "asimdfhm",
      "sve",      "sve2",     "i8mm",        "bf16",        "sme"};
  std::string model(ValueOf(cpuinfo, "model name"));
  if (const std::string cores = ArmCores(cpuinfo); !cores.empty()) {
    model += (model.empty() ? "ARM " : " ") + cores;
  }
  if (model.empty()) model = "unknown processor";
  std::string_view flags = ValueOf(cpuinfo, "flags");
  if (flags.empty()) flags = ValueOf(cpuinfo, "Features");
  const std::vector<std::string_view> have = Split(flags, ' ');
  std::string text = std::move(model);
  for (std::string_view set : kSets) {
    if (std::ranges::find(have, set) != have.end()) text += ' ' + std::string(set);
  }
  return text;
}

std::string CpuFingerprint() {
  return MachineArchitecture() + ' ' + CpuFingerprintFrom(ReadOrEmpty("/proc/cpuinfo"));
}

Nanos ProcessCpuTime() {
  return ReadCpuClock(CLOCK_PROCESS_CPUTIME_ID);
}
Nanos ThreadCpuTime() {
  return ReadCpuClock(CLOCK_THREAD_CPUTIME_ID);
}
long PeakResidentBytes() {
  return StatusBytes("VmHWM");
}
long ResidentBytes() {
  return StatusBytes("VmRSS");
}

}  // namespace selvedge
