#pragma once

// Row kernels of the Preprocessor, compiled once per instruction set and chosen at run time.
//
// Internal to vision/. Stateless, thread-safe. Everything is plain data: the arithmetic is in
// preprocess_kernels_impl.h, which preprocess_kernels_{generic,avx2,avx512}.cc compile with
// different flags.

#include <cstdint>

namespace selvedge::kernels {

// Rows and taps are worked on in blocks of this many outputs; buffers are padded to a multiple of
// it.
inline constexpr int kBlock = 16;
// A blended row may be read this far beyond its end (and is never used there).
inline constexpr int kRowPadding = 64;
// Fixed point of blended rows (bits of fraction), and of horizontal weights.
inline constexpr int kRowBits = 7;
inline constexpr int kWeightBits = 14;
// A sampled value is pixel * 2^21.
inline constexpr float kSampleScale = 1.0F / static_cast<float>(1 << (kRowBits + kWeightBits));

// Horizontal taps: output i = row[first[i]] * weight[i].left + row[first[i] + 1] * weight[i].right.
// All arrays hold `blocks` * kBlock entries; those beyond `count` repeat the last.
struct TapsView {
  const std::int32_t* first;    // index of the left pixel
  const std::int16_t* weights;  // pairs left, right; left + right = 2^kWeightBits
  // For processors that permute instead of gather: per block the first pixel, and per output the
  // pair of offsets from it. Only valid where `narrow`: every block spans at most 64 pixels.
  const std::int32_t* base;
  const std::int16_t* offsets;
  bool narrow;
  int blocks;
  int count;
};

// One output channel from three sampled rows p0, p1, p2 (Y, U, V or R, G, B):
//   clamp(p0 * k[0] + p1 * k[1] + p2 * k[2] + bias, 0, 255) * gain + offset
struct ChannelMix {
  float k[3];
  float bias;
  float gain;
  float offset;
};

struct RowKernels {
  const char* name;
  // out[i] = (a[i] + (b[i] - a[i]) * weight / 2^15) * 2^kRowBits
  void (*blend)(const std::uint8_t* a, const std::uint8_t* b, std::int16_t weight, int n,
                std::int16_t* out);
  // Takes interleaved rows apart; n is the number of pixels.
  void (*split2)(const std::int16_t* in, int n, std::int16_t* a, std::int16_t* b);
  void (*split3)(const std::int16_t* in, int n, std::int16_t* a, std::int16_t* b, std::int16_t* c);
  // Writes taps.blocks * kBlock values.
  void (*sample)(const TapsView& taps, const std::int16_t* row, float* out);
  // Reads whole blocks, writes exactly n values per channel.
  void (*mix_planar)(const float* p0, const float* p1, const float* p2, int n,
                     const ChannelMix mix[3], float* out0, float* out1, float* out2);
  // The same, written as c0 c1 c2 c0 c1 c2 …: exactly 3 * n values.
  void (*mix_interleaved)(const float* p0, const float* p1, const float* p2, int n,
                          const ChannelMix mix[3], float* out);
  // Rounded to nearest, saturated.
  void (*to_uint8)(const float* in, int n, std::uint8_t* out);
  void (*to_int8)(const float* in, int n, std::int8_t* out);
  void (*to_int32)(const float* in, int n, std::int32_t* out);
  // IEEE 754 binary16 and bfloat16, rounded to nearest even.
  void (*to_float16)(const float* in, int n, std::uint16_t* out);
  void (*to_bfloat16)(const float* in, int n, std::uint16_t* out);
};

extern const RowKernels kGenericKernels;
#if defined(__x86_64__)
extern const RowKernels kAvx2Kernels;
extern const RowKernels kAvx512Kernels;
#endif

// The fastest this processor can run.
const RowKernels& BestKernels();
// Every set this processor can run, fastest first, null-terminated: tests and benchmarks try them
// all.
const RowKernels* const* UsableKernels();

}  // namespace selvedge::kernels
