// Row kernels for x86-64-v3 (AVX2, FMA, F16C); this file alone is compiled with -march=x86-64-v3;
// see preprocess_kernels.h.

#include <immintrin.h>

#include <cstdint>

#include "vision/preprocess_kernels.h"

namespace selvedge::kernels {
namespace {
#include "vision/preprocess_kernels_impl.h"
}  // namespace

extern const RowKernels kAvx2Kernels = {
    "avx2",         Blend,   Split2, Split3,  Sample,    MixPlanar,
    MixInterleaved, ToUint8, ToInt8, ToInt32, ToFloat16, ToBfloat16,
};

}  // namespace selvedge::kernels
