#pragma once

// Runs another program and keeps what it printed: benchmarks measure the real executables.

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace selvedge {

struct ProgramOptions {
  std::vector<std::string> arguments;  // [0] is the program, a path or a name on $PATH
  std::vector<int> cpus;               // may run only on these; empty: as its parent
  Nanos timeout = 600 * kSecond;       // then it is killed
};

struct ChildResult {
  int exit_code = 0;
  std::string output;  // its stdout, at most 16 MiB
  double cpu_seconds = 0;
  double peak_rss_mib = 0;
};

// Its stderr is ours. DeadlineExceeded where it was killed, NotFound where it could not be started.
Result<ChildResult> RunChild(const ProgramOptions& options);

}  // namespace selvedge
