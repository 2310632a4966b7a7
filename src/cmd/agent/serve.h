#pragma once

#include "cmd/cli/cli.h"

namespace selvedge {

// `selvedge agent`: joins where that is asked for, and serves until it is told to end. Returns the
// exit code. `termination` was made before any thread.
int AgentMain(int argc, const char* const* argv, const cli::Termination& termination);

}  // namespace selvedge
