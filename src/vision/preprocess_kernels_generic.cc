// Row kernels for any processor; see preprocess_kernels.h.

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
