// The arithmetic of preprocess_kernels.h. Included by exactly one .cc per instruction set, inside
// that file's own unnamed namespace; each is compiled with its own -m flags.
//
// No inline function of another header may be used here: the linker keeps one copy of it, and that
// could be the one with instructions that this processor lacks. Loops are written so that the
// compiler vectorises them; intrinsics stand where it does not.
//
// No include guard on purpose: every includer needs its own copy.

void Blend(const std::uint8_t* __restrict a, const std::uint8_t* __restrict b, std::int16_t weight,
           int n, std::int16_t* __restrict out) {
  int i = 0;
#if defined(__AVX512BW__)
  const __m512i w = _mm512_set1_epi16(weight);
  // The tail is masked, so rows of any length are read exactly.
  for (; i < n; i += 32) {
    const __mmask32 mask = n - i >= 32 ? 0xFFFFFFFFU : (1U << (n - i)) - 1;
    const __m512i va = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask, a + i));
    const __m512i vb = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask, b + i));
    const __m512i delta = _mm512_slli_epi16(_mm512_sub_epi16(vb, va), kRowBits);
    const __m512i sum =
        _mm512_add_epi16(_mm512_slli_epi16(va, kRowBits), _mm512_mulhrs_epi16(delta, w));
    _mm512_mask_storeu_epi16(out + i, mask, sum);
  }
#elif defined(__AVX2__)
  const __m256i w = _mm256_set1_epi16(weight);
  for (; i + 16 <= n; i += 16) {
    const __m256i va =
        _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a + i)));
    const __m256i vb =
        _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b + i)));
    const __m256i delta = _mm256_slli_epi16(_mm256_sub_epi16(vb, va), kRowBits);
    const __m256i sum =
        _mm256_add_epi16(_mm256_slli_epi16(va, kRowBits), _mm256_mulhrs_epi16(delta, w));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), sum);
  }
#elif defined(__aarch64__)
  const int16x8_t w = vdupq_n_s16(weight);
  for (; i + 8 <= n; i += 8) {
    const int16x8_t va = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(a + i)));
    const int16x8_t vb = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(b + i)));
    const int16x8_t delta = vshlq_n_s16(vsubq_s16(vb, va), kRowBits);
    vst1q_s16(out + i, vaddq_s16(vshlq_n_s16(va, kRowBits), vqrdmulhq_s16(delta, w)));
  }
#elif defined(__SSE2__)
  // Without a rounding multiplication the product keeps one bit less: 1/64 of a level.
  const __m128i w = _mm_set1_epi16(weight);
  const __m128i zero = _mm_setzero_si128();
  for (; i + 8 <= n; i += 8) {
    const __m128i va =
        _mm_unpacklo_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(a + i)), zero);
    const __m128i vb =
        _mm_unpacklo_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(b + i)), zero);
    const __m128i delta = _mm_slli_epi16(_mm_sub_epi16(vb, va), kRowBits);
    const __m128i step = _mm_slli_epi16(_mm_mulhi_epi16(delta, w), 1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                     _mm_add_epi16(_mm_slli_epi16(va, kRowBits), step));
  }
#endif
  for (; i < n; ++i) {
    const int delta = (b[i] - a[i]) * (1 << kRowBits);
    out[i] = static_cast<std::int16_t>((a[i] << kRowBits) + ((delta * weight + (1 << 14)) >> 15));
  }
}

void Split2(const std::int16_t* __restrict in, int n, std::int16_t* __restrict a,
            std::int16_t* __restrict b) {
  for (int i = 0; i < n; ++i) {
    a[i] = in[2 * i];
    b[i] = in[2 * i + 1];
  }
}

void Split3(const std::int16_t* __restrict in, int n, std::int16_t* __restrict a,
            std::int16_t* __restrict b, std::int16_t* __restrict c) {
  for (int i = 0; i < n; ++i) {
    a[i] = in[3 * i];
    b[i] = in[3 * i + 1];
    c[i] = in[3 * i + 2];
  }
}

// Two neighbouring pixels as one 32-bit word.
[[maybe_unused]] inline int LoadPair(const std::int16_t* p) {
  int pair;
  __builtin_memcpy(&pair, p, sizeof(pair));
  return pair;
}

#if defined(__AVX512BW__)
// Sixteen 32-bit loads of two neighbouring 16-bit pixels, or (four times as fast) two 64-byte loads
// and a permutation where the sixteen outputs lie within 64 pixels.
void Sample(const TapsView& taps, const std::int16_t* row, float* out) {
  if (taps.narrow) {
    for (int b = 0; b < taps.blocks; ++b) {
      const std::int16_t* p = row + taps.base[b];
      const __m512i low = _mm512_loadu_si512(p);
      const __m512i high = _mm512_loadu_si512(p + 32);
      const __m512i where = _mm512_loadu_si512(taps.offsets + 2 * kBlock * b);
      const __m512i pairs = _mm512_permutex2var_epi16(low, where, high);
      const __m512i w = _mm512_loadu_si512(taps.weights + 2 * kBlock * b);
      _mm512_storeu_ps(out + kBlock * b, _mm512_cvtepi32_ps(_mm512_madd_epi16(pairs, w)));
    }
    return;
  }
  for (int b = 0; b < taps.blocks; ++b) {
    const __m512i where = _mm512_loadu_si512(taps.first + kBlock * b);
    const __m512i pairs = _mm512_i32gather_epi32(where, row, 2);
    const __m512i w = _mm512_loadu_si512(taps.weights + 2 * kBlock * b);
    _mm512_storeu_ps(out + kBlock * b, _mm512_cvtepi32_ps(_mm512_madd_epi16(pairs, w)));
  }
}
#elif defined(__AVX2__)
// Plain loads: the gather instruction is no faster on the processors that have it, and many times
// slower on those with the microcode fix for CVE-2022-40982.
void Sample(const TapsView& taps, const std::int16_t* row, float* out) {
  for (int i = 0; i < taps.blocks * kBlock; i += 8) {
    const std::int32_t* x = taps.first + i;
    const __m256i pairs = _mm256_setr_epi32(
        LoadPair(row + x[0]), LoadPair(row + x[1]), LoadPair(row + x[2]), LoadPair(row + x[3]),
        LoadPair(row + x[4]), LoadPair(row + x[5]), LoadPair(row + x[6]), LoadPair(row + x[7]));
    const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(taps.weights + 2 * i));
    _mm256_storeu_ps(out + i, _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, w)));
  }
}
#elif defined(__SSE2__)
void Sample(const TapsView& taps, const std::int16_t* row, float* out) {
  for (int i = 0; i < taps.blocks * kBlock; i += 4) {
    const std::int32_t* x = taps.first + i;
    const __m128i pairs = _mm_setr_epi32(LoadPair(row + x[0]), LoadPair(row + x[1]),
                                         LoadPair(row + x[2]), LoadPair(row + x[3]));
    const __m128i w = _mm_loadu_si128(reinterpret_cast<const __m128i*>(taps.weights + 2 * i));
    _mm_storeu_ps(out + i, _mm_cvtepi32_ps(_mm_madd_epi16(pairs, w)));
  }
}
#elif defined(__aarch64__)
void Sample(const TapsView& taps, const std::int16_t* row, float* out) {
  for (int i = 0; i < taps.blocks * kBlock; i += 4) {
    const std::int32_t* x = taps.first + i;
    const int32x4_t loaded = {LoadPair(row + x[0]), LoadPair(row + x[1]), LoadPair(row + x[2]),
                              LoadPair(row + x[3])};
    const int16x8_t pairs = vreinterpretq_s16_s32(loaded);
    const int16x8_t w = vld1q_s16(taps.weights + 2 * i);
    const int32x4_t sum =
        vpaddq_s32(vmull_s16(vget_low_s16(pairs), vget_low_s16(w)), vmull_high_s16(pairs, w));
    vst1q_f32(out + i, vcvtq_f32_s32(sum));
  }
}
#else
void Sample(const TapsView& taps, const std::int16_t* row, float* out) {
  for (int i = 0; i < taps.blocks * kBlock; ++i) {
    const std::int16_t* p = row + taps.first[i];
    out[i] = static_cast<float>(p[0] * taps.weights[2 * i] + p[1] * taps.weights[2 * i + 1]);
  }
}
#endif

inline float MixOne(float p0, float p1, float p2, const ChannelMix& m) {
  float v = p0 * m.k[0] + p1 * m.k[1] + p2 * m.k[2] + m.bias;
  v = v < 0.0F ? 0.0F : v;
  v = v > 255.0F ? 255.0F : v;
  return v * m.gain + m.offset;
}

void MixPlanar(const float* __restrict p0, const float* __restrict p1, const float* __restrict p2,
               int n, const ChannelMix mix[3], float* __restrict out0, float* __restrict out1,
               float* __restrict out2) {
  const ChannelMix m0 = mix[0];
  const ChannelMix m1 = mix[1];
  const ChannelMix m2 = mix[2];
  for (int i = 0; i < n; ++i) {
    out0[i] = MixOne(p0[i], p1[i], p2[i], m0);
    out1[i] = MixOne(p0[i], p1[i], p2[i], m1);
    out2[i] = MixOne(p0[i], p1[i], p2[i], m2);
  }
}

#if defined(__AVX512BW__)
inline __m512 MixVector(__m512 p0, __m512 p1, __m512 p2, const ChannelMix& m) {
  __m512 v = _mm512_fmadd_ps(p0, _mm512_set1_ps(m.k[0]), _mm512_set1_ps(m.bias));
  v = _mm512_fmadd_ps(p1, _mm512_set1_ps(m.k[1]), v);
  v = _mm512_fmadd_ps(p2, _mm512_set1_ps(m.k[2]), v);
  v = _mm512_min_ps(_mm512_max_ps(v, _mm512_setzero_ps()), _mm512_set1_ps(255.0F));
  return _mm512_fmadd_ps(v, _mm512_set1_ps(m.gain), _mm512_set1_ps(m.offset));
}

// Channel c of pixel k belongs into lane (3k + c) mod 16 of vector (3k + c) / 16. As 3 and 16 have
// no common divisor, one permutation per channel puts every pixel into its lane, and blends do the
// rest.
void MixInterleaved(const float* p0, const float* p1, const float* p2, int n,
                    const ChannelMix mix[3], float* out) {
  const __m512i order0 = _mm512_setr_epi32(0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10, 5);
  const __m512i order1 = _mm512_setr_epi32(5, 0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10);
  const __m512i order2 = _mm512_setr_epi32(10, 5, 0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15);
  // Lanes l with l mod 3 = 0, 1, 2. Lane l of vector m holds channel (16 m + l) mod 3.
  constexpr __mmask16 kLanes0 = 0x9249;  // 0 3 6 9 12 15
  constexpr __mmask16 kLanes1 = 0x2492;  // 1 4 7 10 13
  constexpr __mmask16 kLanes2 = 0x4924;  // 2 5 8 11 14
  for (int i = 0; i < n; i += 16) {
    const __m512 a = _mm512_loadu_ps(p0 + i);
    const __m512 b = _mm512_loadu_ps(p1 + i);
    const __m512 c = _mm512_loadu_ps(p2 + i);
    const __m512 c0 = _mm512_permutexvar_ps(order0, MixVector(a, b, c, mix[0]));
    const __m512 c1 = _mm512_permutexvar_ps(order1, MixVector(a, b, c, mix[1]));
    const __m512 c2 = _mm512_permutexvar_ps(order2, MixVector(a, b, c, mix[2]));
    // Vector 0 starts with channel 0, vector 1 with channel 1 (16 mod 3), vector 2 with channel 2.
    const __m512 v0 = _mm512_mask_blend_ps(kLanes2, _mm512_mask_blend_ps(kLanes1, c0, c1), c2);
    const __m512 v1 = _mm512_mask_blend_ps(kLanes1, _mm512_mask_blend_ps(kLanes0, c0, c1), c2);
    const __m512 v2 = _mm512_mask_blend_ps(kLanes0, _mm512_mask_blend_ps(kLanes2, c0, c1), c2);
    float* o = out + 3 * i;
    if (n - i >= 16) {
      _mm512_storeu_ps(o, v0);
      _mm512_storeu_ps(o + 16, v1);
      _mm512_storeu_ps(o + 32, v2);
    } else {
      const std::uint64_t mask = (std::uint64_t{1} << (3 * (n - i))) - 1;
      _mm512_mask_storeu_ps(o, static_cast<__mmask16>(mask), v0);
      _mm512_mask_storeu_ps(o + 16, static_cast<__mmask16>(mask >> 16), v1);
      _mm512_mask_storeu_ps(o + 32, static_cast<__mmask16>(mask >> 32), v2);
    }
  }
}
#elif defined(__AVX2__)
inline __m256 MixVector(__m256 p0, __m256 p1, __m256 p2, const ChannelMix& m) {
  __m256 v = _mm256_fmadd_ps(p0, _mm256_set1_ps(m.k[0]), _mm256_set1_ps(m.bias));
  v = _mm256_fmadd_ps(p1, _mm256_set1_ps(m.k[1]), v);
  v = _mm256_fmadd_ps(p2, _mm256_set1_ps(m.k[2]), v);
  v = _mm256_min_ps(_mm256_max_ps(v, _mm256_setzero_ps()), _mm256_set1_ps(255.0F));
  return _mm256_fmadd_ps(v, _mm256_set1_ps(m.gain), _mm256_set1_ps(m.offset));
}

// Channel c of pixel k belongs into lane (3k + c) mod 8 of vector (3k + c) / 8. As 3 and 8 have no
// common divisor, one permutation per channel puts every pixel into its lane, and blends do the
// rest.
void MixInterleaved(const float* p0, const float* p1, const float* p2, int n,
                    const ChannelMix mix[3], float* out) {
  const __m256i order0 = _mm256_setr_epi32(0, 3, 6, 1, 4, 7, 2, 5);
  const __m256i order1 = _mm256_setr_epi32(5, 0, 3, 6, 1, 4, 7, 2);
  const __m256i order2 = _mm256_setr_epi32(2, 5, 0, 3, 6, 1, 4, 7);
  // Lanes l with l mod 3 = 0, 1, 2. Lane l of vector m holds channel (8 m + l) mod 3.
  constexpr int kLanes0 = 0x49;  // 0 3 6
  constexpr int kLanes1 = 0x92;  // 1 4 7
  constexpr int kLanes2 = 0x24;  // 2 5
  int i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 a = _mm256_loadu_ps(p0 + i);
    const __m256 b = _mm256_loadu_ps(p1 + i);
    const __m256 c = _mm256_loadu_ps(p2 + i);
    const __m256 c0 = _mm256_permutevar8x32_ps(MixVector(a, b, c, mix[0]), order0);
    const __m256 c1 = _mm256_permutevar8x32_ps(MixVector(a, b, c, mix[1]), order1);
    const __m256 c2 = _mm256_permutevar8x32_ps(MixVector(a, b, c, mix[2]), order2);
    float* o = out + 3 * i;
    // Vector 0 starts with channel 0, vector 1 with channel 2 (8 mod 3), vector 2 with channel 1.
    _mm256_storeu_ps(o, _mm256_blend_ps(_mm256_blend_ps(c0, c1, kLanes1), c2, kLanes2));
    _mm256_storeu_ps(o + 8, _mm256_blend_ps(_mm256_blend_ps(c0, c1, kLanes2), c2, kLanes0));
    _mm256_storeu_ps(o + 16, _mm256_blend_ps(_mm256_blend_ps(c0, c1, kLanes0), c2, kLanes1));
  }
  for (; i < n; ++i) {
    for (int c = 0; c < 3; ++c) out[3 * i + c] = MixOne(p0[i], p1[i], p2[i], mix[c]);
  }
}
#else
// Channel by channel into a small block, which the compiler vectorises; then the block is woven
// together.
void MixInterleaved(const float* __restrict p0, const float* __restrict p1,
                    const float* __restrict p2, int n, const ChannelMix mix[3],
                    float* __restrict out) {
  for (int i = 0; i < n; i += kBlock) {
    float mixed[3][kBlock];
    for (int c = 0; c < 3; ++c) {
      const ChannelMix m = mix[c];
      for (int k = 0; k < kBlock; ++k) mixed[c][k] = MixOne(p0[i + k], p1[i + k], p2[i + k], m);
    }
    float* o = out + 3 * i;
    int k = 0;
    const int count = n - i < kBlock ? n - i : kBlock;
#if defined(__aarch64__)
    for (; k + 4 <= count; k += 4) {
      vst3q_f32(o + 3 * k,
                {vld1q_f32(mixed[0] + k), vld1q_f32(mixed[1] + k), vld1q_f32(mixed[2] + k)});
    }
#endif
    for (; k < count; ++k) {
      o[3 * k] = mixed[0][k];
      o[3 * k + 1] = mixed[1][k];
      o[3 * k + 2] = mixed[2][k];
    }
  }
}
#endif

inline float Clamp(float v, float low, float high) {
  v = v < low ? low : v;
  return v > high ? high : v;
}

// Adding a half and cutting off rounds values that are not negative; lround would be a library call
// a value.
void ToUint8(const float* __restrict in, int n, std::uint8_t* __restrict out) {
  for (int i = 0; i < n; ++i) {
    const float raised = Clamp(in[i], 0.0F, 255.0F) + 0.5F;
    out[i] = static_cast<std::uint8_t>(static_cast<int>(raised));
  }
}

void ToInt8(const float* __restrict in, int n, std::int8_t* __restrict out) {
  for (int i = 0; i < n; ++i) {
    const int shifted = static_cast<int>(Clamp(in[i], -128.0F, 127.0F) + 128.5F);
    out[i] = static_cast<std::int8_t>(shifted - 128);
  }
}

void ToInt32(const float* __restrict in, int n, std::int32_t* __restrict out) {
  for (int i = 0; i < n; ++i) {
    const float v = Clamp(in[i], -2.0e9F, 2.0e9F);
    out[i] = static_cast<std::int32_t>(v + (v < 0.0F ? -0.5F : 0.5F));
  }
}

inline std::uint32_t BitsOf(float v) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &v, sizeof(bits));
  return bits;
}

inline float FloatOf(std::uint32_t bits) {
  float v;
  __builtin_memcpy(&v, &bits, sizeof(v));
  return v;
}

void ToFloat16(const float* __restrict in, int n, std::uint16_t* __restrict out) {
  int i = 0;
#if defined(__F16C__)
  for (; i + 8 <= n; i += 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
  }
#endif
  for (; i < n; ++i) {
    const std::uint32_t bits = BitsOf(in[i]);
    const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
    std::uint32_t half;
    if (magnitude >= 0x47800000U) {  // 65536 and above, infinity; not-a-number stays one
      half = magnitude > 0x7F800000U ? 0x7E00U : 0x7C00U;
    } else if (magnitude <
               0x38800000U) {  // below 2^-14: subnormal; adding 0.5 rounds at its last bit
      half = BitsOf(FloatOf(magnitude) + 0.5F) - 0x3F000000U;
    } else {
      half = (magnitude - 0x38000000U + 0xFFFU + ((magnitude >> 13) & 1U)) >> 13;
    }
    out[i] = static_cast<std::uint16_t>(half | ((bits >> 16) & 0x8000U));
  }
}

void ToBfloat16(const float* __restrict in, int n, std::uint16_t* __restrict out) {
  for (int i = 0; i < n; ++i) {
    const std::uint32_t bits = BitsOf(in[i]);
    out[i] = static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
  }
}
