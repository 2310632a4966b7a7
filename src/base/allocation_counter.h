#pragma once

// For tests: how often operator new was asked for memory.
//
// Linking the library `allocation_counter` replaces the global operators of that executable.
// Thread-safe.

#include <cstdint>

namespace selvedge {

// Calls of operator new (all forms) so far: by this thread, by every thread.
std::uint64_t AllocationsOfThisThread();
std::uint64_t AllocationsOfProcess();

}  // namespace selvedge
