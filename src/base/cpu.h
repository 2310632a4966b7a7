#pragma once

// What this process may use of the processor: affinity and cgroup limits included.

#include <string>
#include <string_view>

#include "base/clock.h"

namespace selvedge {

// Whole processors this process can keep busy: the smallest of online processors, affinity mask and
// cgroup quota (v1 cpu.cfs_quota_us / cpu.cfs_period_us, v2 cpu.max), rounded up, at least 1.
int UsableCpus();
// The quota alone, in processors, from the files sys/fs/cgroup/... and proc/self/cgroup below
// `root` (empty for this machine's own); 0 where there is none. The tightest of the group's own and
// its parents'.
double CgroupCpuQuota(const std::string& root);

// "x86_64", "aarch64".
std::string MachineArchitecture();
// Model name and instruction sets that matter to engines (avx2, avx512_vnni, asimddp, …), one line,
// the same on every start: part of the hardware fingerprint.
std::string CpuFingerprint();
// The same, without the architecture, from the text of a /proc/cpuinfo. For tests.
std::string CpuFingerprintFrom(std::string_view cpuinfo);

// CPU time (user + system) of this process and of the calling thread.
Nanos ProcessCpuTime();
Nanos ThreadCpuTime();
// Highest resident set so far, bytes (VmHWM); current (VmRSS).
long PeakResidentBytes();
long ResidentBytes();

}  // namespace selvedge
