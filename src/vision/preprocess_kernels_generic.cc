// Row kernels for any processor (with what the architecture always has: SSE2, or Advanced SIMD on
// 64-bit Arm); see preprocess_kernels.h.

#if defined(__aarch64__)
#include <arm_neon.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <cstdint>

#include "vision/preprocess_kernels.h"

namespace selvedge::kernels {
namespace {
#include "vision/preprocess_kernels_impl.h"
}  // namespace

extern const RowKernels kGenericKernels = {
    "generic",      Blend,   Split2, Split3,  Sample,    MixPlanar,
    MixInterleaved, ToUint8, ToInt8, ToInt32, ToFloat16, ToBfloat16,
};

}  // namespace selvedge::kernels
