#include "contract/our_allocations.h"

#include <execinfo.h>
#include <link.h>

#include <cstdlib>
#include <cstring>
#include <new>

// The linker's marks around this executable's code.
extern "C" const char
    __executable_start;  // NOLINT(bugprone-reserved-identifier): the linker's name
extern "C" const char etext;

namespace selvedge {
namespace {

thread_local bool counting = false;
thread_local std::uint64_t our_calls = 0;
thread_local std::uint64_t other_calls = 0;

struct CodeRange {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  bool Has(const void* address) const {
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    return at >= begin && at < end;
  }
};

CodeRange FindCxxLibrary() {
  CodeRange range;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* out) {
        if (std::strstr(info->dlpi_name, "libstdc++.so") == nullptr) return 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& header = info->dlpi_phdr[i];
          if (header.p_type != PT_LOAD || (header.p_flags & PF_X) == 0) continue;
          auto& found = *static_cast<CodeRange*>(out);
          found.begin = info->dlpi_addr + header.p_vaddr;
          found.end = found.begin + header.p_memsz;
        }
        return 1;
      },
      &range);
  return range;
}

const CodeRange& CxxLibrary() {
  static const CodeRange range = FindCxxLibrary();
  return range;
}

void Count() {
  counting = false;  // backtrace may allocate
  void* frames[16];
  const int depth = backtrace(frames, 16);
  const CodeRange executable = {reinterpret_cast<std::uintptr_t>(&__executable_start),
                                reinterpret_cast<std::uintptr_t>(&etext)};
  bool ours = false;
  // Frames 0 and 1 are this function and operator new.
  for (int i = 2; i < depth; ++i) {
    if (CxxLibrary().Has(frames[i])) continue;
    ours = executable.Has(frames[i]);
    break;
  }
  ++(ours ? our_calls : other_calls);
  counting = true;
}

[[gnu::noinline]] void* Allocate(std::size_t size) {
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

OurAllocations::OurAllocations() {
  CxxLibrary();
  void* frames[2];
  backtrace(frames, 2);  // its first call loads the unwinder
  our_calls = 0;
  other_calls = 0;
  counting = true;
}

OurAllocations::~OurAllocations() {
  counting = false;
}

std::uint64_t OurAllocations::ours() const {
  return our_calls;
}
std::uint64_t OurAllocations::others() const {
  return other_calls;
}

}  // namespace selvedge

// NOLINTBEGIN(misc-new-delete-overloads): the array and nothrow forms end in these
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (selvedge::counting) selvedge::Count();
  return selvedge::Allocate(size);
}
[[gnu::noinline]] void* operator new[](std::size_t size) {
  if (selvedge::counting) selvedge::Count();
  return selvedge::Allocate(size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
// NOLINTEND(misc-new-delete-overloads)
