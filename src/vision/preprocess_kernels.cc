#include "vision/preprocess_kernels.h"

namespace selvedge::kernels {

const RowKernels* const* UsableKernels() {
  static const RowKernels* usable[4] = {};
  // Initialised once, by whichever thread comes first (a function-local static's guarantee).
  static const bool ready = [] {
    int count = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx2") &&
        __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") &&
        __builtin_cpu_supports("f16c")) {
      usable[count++] = &kAvx512Kernels;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("f16c")) {
      usable[count++] = &kAvx2Kernels;
    }
#endif
    usable[count] = &kGenericKernels;
    return true;
  }();
  (void)ready;
  return usable;
}

const RowKernels& BestKernels() {
  return *UsableKernels()[0];
}

}  // namespace selvedge::kernels
