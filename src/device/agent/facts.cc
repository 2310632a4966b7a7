#include "device/agent/facts.h"

#include <sys/statvfs.h>
#include <sys/utsname.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/cpu.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxText = std::size_t{256} * 1024;
constexpr std::size_t kMaxEntries = 4096;
constexpr std::size_t kMaxEngines = 16;

// Files below /proc and /sys have no size: read until they end.
std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxText, 0);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return text;
}

std::string FirstLine(std::string_view text) {
  return std::string(text.substr(0, text.find_first_of(std::string_view("\n\0", 2))));
}

std::vector<std::string> Names(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (names.size() >= kMaxEntries) break;
    names.push_back(it->path().filename().string());
  }
  return names;
}

// How many names are `prefix` and a number.
std::uint32_t CountNumbered(const std::vector<std::string>& names, std::string_view prefix) {
  return static_cast<std::uint32_t>(std::ranges::count_if(names, [&](const std::string& name) {
    const std::string_view rest =
        std::string_view(name).substr(std::min(prefix.size(), name.size()));
    return name.starts_with(prefix) && !rest.empty() &&
           std::ranges::all_of(rest, [](char c) { return c >= '0' && c <= '9'; });
  }));
}

// The value of the first line "key<blanks>: value".
std::string ValueOf(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.starts_with(key)) continue;
    std::string_view rest = line.substr(key.size());
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
    if (!rest.starts_with(':')) continue;
    rest.remove_prefix(1);
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
    return std::string(rest.substr(0, 256));
  }
  return {};
}

}  // namespace

std::string OsName(std::string_view os_release) {
  constexpr std::string_view kKey = "PRETTY_NAME=";
  const std::size_t at = os_release.find(kKey);
  if (at == std::string_view::npos) return {};
  std::string name = FirstLine(os_release.substr(at + kKey.size()));
  std::erase(name, '"');
  name.resize(std::min(name.size(), name.find('\0')));
  return name.substr(0, 256);
}

std::string CpuModel(std::string_view cpuinfo) {
  // Arm boards name the board, not the core.
  for (const char* key : {"model name", "Model", "Hardware", "cpu model"}) {
    if (std::string value = ValueOf(cpuinfo, key); !value.empty()) return value;
  }
  return {};
}

std::uint64_t MemoryBytes(std::string_view meminfo) {
  const std::string value = ValueOf(meminfo, "MemTotal");
  std::uint64_t kib = 0;
  (void)std::from_chars(value.data(), value.data() + value.size(), kib);
  return kib <= UINT64_MAX / 1024 ? kib * 1024 : 0;
}

std::uint32_t CountGpus(const std::string& root) {
  const std::vector<std::string> devices = Names(root + "/dev");
  const std::uint32_t cards = CountNumbered(devices, "nvidia");
  if (cards > 0) return cards;
  // A Jetson's GPU is no PCI card: its driver shows itself by one of these.
  const auto has = [&](std::string_view name) {
    return std::ranges::find(devices, name) != devices.end();
  };
  return has("nvhost-gpu") || has("nvhost-as-gpu") || has("nvgpu") ? 1 : 0;
}

std::uint32_t CountTpus(const std::string& root) {
  std::uint32_t found = CountNumbered(Names(root + "/dev"), "apex_");
  // The Coral USB accelerator, before and after its firmware was loaded.
  static const std::set<std::string> kCoral = {"1a6e:089a", "18d1:9302"};
  const std::string usb = root + "/sys/bus/usb/devices";
  for (const std::string& name : Names(usb)) {
    const std::string vendor = FirstLine(ReadText(usb + "/" + name + "/idVendor"));
    if (vendor.empty()) continue;
    const std::string product = FirstLine(ReadText(usb + "/" + name + "/idProduct"));
    if (kCoral.contains(vendor + ":" + product)) ++found;
  }
  return found;
}

std::uint32_t CountNpus(const std::string& root) {
  return CountNumbered(Names(root + "/dev/accel"), "accel") +
         CountNumbered(Names(root + "/dev"), "accel");
}

double HottestCelsius(const std::string& root) {
  const std::string thermal = root + "/sys/class/thermal";
  double hottest = 0;
  for (const std::string& name : Names(thermal)) {
    if (!name.starts_with("thermal_zone")) continue;
    const std::string text = FirstLine(ReadText(thermal + "/" + name + "/temp"));
    long milli = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), milli).ec != std::errc()) continue;
    // Some zones tell nonsense where their sensor is off.
    if (milli > 0 && milli < 200'000) hottest = std::max(hottest, static_cast<double>(milli) / 1e3);
  }
  return hottest;
}

std::uint64_t DiskFreeBytes(const std::string& folder) {
  struct statvfs info{};
  if (statvfs(folder.c_str(), &info) != 0) return 0;
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

std::vector<std::string> ParseEngines(std::string_view json) {
  std::vector<std::string> engines;
  const auto object = nlohmann::json::parse(json, nullptr, false);
  if (!object.is_object()) return engines;
  const auto list = object.find("engines");
  if (list == object.end() || !list->is_array()) return engines;
  for (const auto& entry : *list) {
    if (!entry.is_object() || engines.size() >= kMaxEngines) continue;
    const auto name = entry.find("name");
    const auto version = entry.find("version");
    if (name == entry.end() || !name->is_string()) continue;
    std::string text = name->get<std::string>();
    if (version != entry.end() && version->is_string()) text += " " + version->get<std::string>();
    engines.push_back(text.substr(0, 128));
  }
  return engines;
}

std::string ArchName(std::string_view machine) {
  if (machine == "x86_64" || machine == "amd64") return "x86";
  if (machine == "aarch64" || machine == "arm64") return "arm64";
  if (machine.starts_with("arm")) return "arm";
  return std::string(machine);
}

v1::Facts ReadFacts(const std::string& root) {
  v1::Facts facts;
  utsname system{};
  if (uname(&system) == 0) {
    facts.set_arch(ArchName(system.machine));
    facts.set_kernel(system.release);
    facts.set_hostname(system.nodename);
  }
  facts.set_cpu_model(CpuModel(ReadText(root + "/proc/cpuinfo")));
  facts.set_cpu_cores(static_cast<std::uint32_t>(UsableCpus()));
  facts.set_memory_bytes(MemoryBytes(ReadText(root + "/proc/meminfo")));
  facts.set_os(OsName(ReadText(root + "/etc/os-release")));
  facts.set_gpus(CountGpus(root));
  facts.set_tpus(CountTpus(root));
  facts.set_npus(CountNpus(root));
  return facts;
}

}  // namespace selvedge
