// Row kernels for x86-64-v4 (AVX-512 F, BW, DQ, VL); this file alone is compiled with
// -march=x86-64-v4; see preprocess_kernels.h.

#include <immintrin.h>

#include <cstdint>

#include "vision/preprocess_kernels.h"

namespace selvedge::kernels {
namespace {
#include "vision/preprocess_kernels_impl.h"
}  // namespace

extern const RowKernels kAvx512Kernels = {
    "avx512",       Blend,   Split2, Split3,  Sample,    MixPlanar,
    MixInterleaved, ToUint8, ToInt8, ToInt32, ToFloat16, ToBfloat16,
};

}  // namespace selvedge::kernels
