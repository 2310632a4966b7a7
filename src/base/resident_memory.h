#pragma once

#include <cstddef>

namespace selvedge {

// Gives back what a process that runs for months needed only to start: free heap pages, and pages
// of code and constants of the program and its libraries. The latter are unmapped, not forgotten:
// they stay in the page cache, and what is used again is mapped again without reading the disk
// while there is memory to spare.
//
// Only segments that are never written (no PF_W, no text relocations) are touched, so nothing can
// be lost; safe at any time and in any thread. Costs a few minor page faults: for daemons, once a
// minute at most, never on a path that frames take. Returns the bytes of the segments that were
// offered, 0 where the system has no such call.
std::size_t ReleaseStartupMemory();

}  // namespace selvedge
