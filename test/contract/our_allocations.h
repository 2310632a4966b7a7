#pragma once

// OurAllocations: counts calls of operator new by our own code and not by engines, for tests that
// promise none on a hot path.
//
// Linking our_allocations.cc replaces the global operator new of a test executable. Libraries
// that are opened at run time allocate through it too, so each call on a counting thread is looked
// at: it is ours where the first stack frame outside operator new and the C++ library lies in this
// executable, that is, where our code (or a template or standard container that it uses) asked for
// the memory; it is the engine's where that frame lies in another library.

#include <cstdint>

namespace selvedge {

class OurAllocations {
 public:
  OurAllocations();   // starts counting on this thread
  ~OurAllocations();  // stops
  OurAllocations(const OurAllocations&) = delete;
  OurAllocations& operator=(const OurAllocations&) = delete;

  std::uint64_t ours() const;    // asked for by this executable
  std::uint64_t others() const;  // asked for by libraries
};

}  // namespace selvedge
