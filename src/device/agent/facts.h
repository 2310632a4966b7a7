#pragma once

// What a device finds out about itself (docs/formats/application.md, "Facts").
//
// Read from /proc, /sys, /dev and /etc below a root that is injected, so that a test can show any
// machine. Nothing is opened that could wake a device, nothing is loaded. Thread-safe. Never fails:
// what cannot be read is left empty.

#include <string>
#include <string_view>

#include "proto/fleet.pb.h"

namespace selvedge {

// All but engines, cameras, containers and disk space. `root` is empty for this machine.
v1::Facts ReadFacts(const std::string& root);

// "PRETTY_NAME" of an /etc/os-release.
std::string OsName(std::string_view os_release);
// The processor's name out of a /proc/cpuinfo; empty where it says none.
std::string CpuModel(std::string_view cpuinfo);
// MemTotal out of a /proc/meminfo, bytes.
std::uint64_t MemoryBytes(std::string_view meminfo);

// NVIDIA cards and Jetson's own, USB and PCIe Coral, processors with an accelerator of their own.
std::uint32_t CountGpus(const std::string& root);
std::uint32_t CountTpus(const std::string& root);
std::uint32_t CountNpus(const std::string& root);

// The hottest zone in /sys/class/thermal, degrees Celsius; 0 where there is none.
double HottestCelsius(const std::string& root);
// Free for us on the file system of `folder`, bytes.
std::uint64_t DiskFreeBytes(const std::string& folder);

// The engines of `selvedge-run --engines --json` as Facts lists them: "onnxruntime 1.31.1". At most
// 16; empty for anything else.
std::vector<std::string> ParseEngines(std::string_view json);

// "x86", "arm64", "arm", or what uname says.
std::string ArchName(std::string_view machine);

}  // namespace selvedge
