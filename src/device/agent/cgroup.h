#pragma once

// Limits of memory and processors for pipelines that run natively, as control groups below
// /selvedge: where containers have theirs, too. Both versions of the kernel's interface.
//
// Free functions, one thread per id. `root` is empty for this machine. Failure: FailedPrecondition
// where this machine or user cannot set the limit: a service is refused rather than run without
// what it was promised.

#include <sys/types.h>

#include <string>

#include "base/status.h"
#include "proto/fleet.pb.h"

namespace selvedge {

// Whether the spec asks for any limit of this kind.
bool WantsLimits(const v1::Resources& resources);

// Makes the group `id` with the limits, and moves the process into it.
Status LimitProcess(const std::string& root, const std::string& id, const v1::Resources& resources,
                    pid_t pid);
// After its processes have ended. One that is not there is no error.
void RemoveLimits(const std::string& root, const std::string& id);

}  // namespace selvedge
