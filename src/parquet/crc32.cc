// Folding as in Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ"
// (Intel, 2009), with its constants for the reflected polynomial 0x04c11db7.
#include "parquet/crc32.h"

#include <arrow/util/crc32.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace varve::parquet {

namespace {

#if defined(__x86_64__)

#define VARVE_CLMUL __attribute__((target("pclmul,sse4.1")))

constexpr size_t kFoldBytes = 64;

VARVE_CLMUL __m128i Load(const uint8_t* at) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}

VARVE_CLMUL __m128i Fold(__m128i sum, __m128i by, __m128i next) {
  const __m128i low = _mm_clmulepi64_si128(sum, by, 0x00);
  const __m128i high = _mm_clmulepi64_si128(sum, by, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

// 128 bits to 32, by Barrett's reduction.
VARVE_CLMUL uint32_t Reduce(__m128i sum, __m128i fold_16) {
  const __m128i words = _mm_setr_epi32(~0, 0, ~0, 0);
  __m128i x = _mm_xor_si128(_mm_srli_si128(sum, 8), _mm_clmulepi64_si128(sum, fold_16, 0x10));
  const __m128i fold_8 = _mm_set_epi64x(0, 0x0163cd6124);
  x = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(x, words), fold_8, 0x00),
                    _mm_srli_si128(x, 4));
  const __m128i poly = _mm_set_epi64x(0x01f7011641, 0x01db710641);
  __m128i y = _mm_clmulepi64_si128(_mm_and_si128(x, words), poly, 0x10);
  y = _mm_clmulepi64_si128(_mm_and_si128(y, words), poly, 0x00);
  return static_cast<uint32_t>(_mm_extract_epi32(_mm_xor_si128(x, y), 1));
}

// At least 64 bytes, a multiple of 16.
VARVE_CLMUL uint32_t ByMultiplication(const uint8_t* at, size_t size) {
  __m128i a = _mm_xor_si128(Load(at), _mm_cvtsi32_si128(~0));
  __m128i b = Load(at + 16), c = Load(at + 32), d = Load(at + 48);
  const __m128i fold_64 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
  for (at += kFoldBytes, size -= kFoldBytes; size >= kFoldBytes;
       at += kFoldBytes, size -= kFoldBytes) {
    a = Fold(a, fold_64, Load(at));
    b = Fold(b, fold_64, Load(at + 16));
    c = Fold(c, fold_64, Load(at + 32));
    d = Fold(d, fold_64, Load(at + 48));
  }
  const __m128i fold_16 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
  __m128i sum = Fold(Fold(Fold(a, fold_16, b), fold_16, c), fold_16, d);
  for (; size >= 16; at += 16, size -= 16) sum = Fold(sum, fold_16, Load(at));
  return ~Reduce(sum, fold_16);
}

#undef VARVE_CLMUL

bool HasMultiplication() {
  static const bool has = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
  return has;
}

#endif

}  // namespace

uint32_t PageCrc32(const uint8_t* bytes, size_t size) {
#if defined(__x86_64__)
  if (size >= kFoldBytes && HasMultiplication()) {
    const size_t folded = size & ~size_t{15};
    const uint32_t crc = ByMultiplication(bytes, folded);
    return arrow::internal::crc32(crc, bytes + folded, size - folded);
  }
#endif
  return arrow::internal::crc32(0, bytes, size);
}

}  // namespace varve::parquet
