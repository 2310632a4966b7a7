#pragma once

// Counts calls of operator new by our own code, for tests that promise none on a hot path.
//
// Linking allocation_counter.cc replaces the global operator new of a test executable. Libraries
// that are opened at run time allocate through it too, so each call on a counting thread is looked
// at: it is ours where the first stack frame outside operator new and the C++ library lies in this
// executable, that is, where our code (or a template or standard container that it uses) asked for
// the memory; it is the engine's where that frame lies in another library.

#include <cstdint>

namespace selvedge {

class AllocationCounter {
 public:
  AllocationCounter();   // starts counting on this thread
  ~AllocationCounter();  // stops
  AllocationCounter(const AllocationCounter&) = delete;
  AllocationCounter& operator=(const AllocationCounter&) = delete;

  std::uint64_t ours() const;    // asked for by this executable
  std::uint64_t others() const;  // asked for by libraries
};

}  // namespace selvedge
