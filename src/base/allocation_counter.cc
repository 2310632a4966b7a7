#include "base/allocation_counter.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

thread_local std::uint64_t allocations = 0;
std::atomic<std::uint64_t> all_allocations{0};

void* CountOrNull(std::size_t size, std::size_t alignment) noexcept {
  ++allocations;
  all_allocations.fetch_add(1, std::memory_order_relaxed);
  if (size == 0) size = 1;
  return alignment <= alignof(std::max_align_t)
             ? std::malloc(size)
             : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

void* Count(std::size_t size, std::size_t alignment) {
  void* memory = CountOrNull(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

namespace selvedge {
std::uint64_t AllocationsOfThisThread() {
  return allocations;
}
std::uint64_t AllocationsOfProcess() {
  return all_allocations.load();
}
}  // namespace selvedge

// All the plain and nothrow forms: the standard library's own would call these, but a sanitizer's
// would not, and then memory from its operator new came to our delete (std::stable_sort's buffer
// does).
void* operator new(std::size_t size) {
  return Count(size, 1);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return Count(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return CountOrNull(size, 1);
}
void* operator new[](std::size_t size) {
  return Count(size, 1);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return CountOrNull(size, 1);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
