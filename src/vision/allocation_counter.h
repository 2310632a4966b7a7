#pragma once

// For tests: how often the calling thread asked operator new for memory.
//
// Linking allocation_counter.cc replaces the global operators of that executable. Thread-safe: each
// thread counts its own.

#include <cstdint>

namespace selvedge {

// Calls of operator new (all forms) by this thread so far.
std::uint64_t AllocationsOfThisThread();

}  // namespace selvedge
