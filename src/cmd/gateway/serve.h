#pragma once

// The gateway as a process: joins where it has not, then serves until it is told to end.

#include "cmd/cli/cli.h"
#include "cmd/gateway/options.h"

namespace selvedge {

// The exit code.
int ServeGateway(const GatewayCommand& command, const cli::Termination& termination);

}  // namespace selvedge
