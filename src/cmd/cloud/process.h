#pragma once

// The control plane, wired together: broker, MQTT client, registry, HTTP(S), and the ControlPlane
// in the middle.

#include "cmd/cli/cli.h"
#include "cmd/cloud/options.h"

namespace selvedge {

// Returns the exit code once told to stop. `termination` was made before any thread.
int RunCloud(const CloudOptions& options, const cli::Termination& termination);

}  // namespace selvedge
