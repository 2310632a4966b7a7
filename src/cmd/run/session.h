#pragma once

// One run of one pipeline: everything wired together, run to its end, reported.

#include <memory>

#include "cmd/cli/cli.h"
#include "cmd/run/options.h"

namespace selvedge {

// Returns the exit code. `termination` was made before any thread.
int RunSession(const RunOptions& options, PipelineConfig config,
               const cli::Termination& termination);

}  // namespace selvedge
