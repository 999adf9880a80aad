// The quotes of a checked JSON text that open or close a string, one after the other.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace varve::record {

// Looks at 64 bytes at a time, as bit masks (json_index.cc has more of that kind); never beyond the
// text's end.
class QuoteCursor {
 public:
  explicit QuoteCursor(std::string_view text)
      : block_(text.data()), end_(text.data() + text.size()) {
    Load();
  }

  // The next quote, or null.
  const char* Next() {
    while (bits_ == 0) {
      if (end_ - block_ <= kBlock) return nullptr;
      block_ += kBlock;
      Load();
    }
    const char* quote = block_ + std::countr_zero(bits_);
    bits_ &= bits_ - 1;
    return quote;
  }
  // Passes over the quotes in front of p.
  void SkipTo(const char* p) {
    while (p - block_ >= kBlock && end_ - block_ > kBlock) {
      block_ += kBlock;
      Load();
    }
    const auto passed = p - block_;
    bits_ = passed < kBlock ? bits_ & (~uint64_t{0} << passed) : 0;
  }
  // Was there a backslash in the text looked at so far.
  bool escapes() const { return escapes_; }

 private:
  static constexpr std::ptrdiff_t kBlock = 64;

  void Load();
  static void Masks(const char* p, uint64_t* quotes, uint64_t* backslashes);

  const char* block_;
  const char* end_;
  uint64_t bits_ = 0;
  uint64_t escaped_ = 0;  // 1: the next block's first byte is escaped
  bool escapes_ = false;
};

inline void QuoteCursor::Masks(const char* p, uint64_t* quotes, uint64_t* backslashes) {
  *quotes = *backslashes = 0;
  for (int i = 0; i < kBlock; i += 16) {
#ifdef __SSE2__
    const __m128i in = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + i));
    const __m128i quote = _mm_cmpeq_epi8(in, _mm_set1_epi8('"'));
    const __m128i backslash = _mm_cmpeq_epi8(in, _mm_set1_epi8('\\'));
    *quotes |= static_cast<uint64_t>(static_cast<uint32_t>(_mm_movemask_epi8(quote))) << i;
    *backslashes |= static_cast<uint64_t>(static_cast<uint32_t>(_mm_movemask_epi8(backslash))) << i;
#else
    for (int j = i; j < i + 16; ++j) {
      if (p[j] == '"') *quotes |= uint64_t{1} << j;
      if (p[j] == '\\') *backslashes |= uint64_t{1} << j;
    }
#endif
  }
}

inline void QuoteCursor::Load() {
  uint64_t backslashes = 0;
  if (end_ - block_ >= kBlock) {
    Masks(block_, &bits_, &backslashes);
  } else {
    char last[kBlock] = {};
    std::memcpy(last, block_, static_cast<size_t>(end_ - block_));
    Masks(last, &bits_, &backslashes);
  }
  bits_ &= ~escaped_;
  if ((backslashes | escaped_) == 0) return;
  escapes_ = escapes_ || backslashes != 0;
  backslashes &= ~escaped_;
  escaped_ = 0;
  while (backslashes != 0) {  // each takes the byte behind it
    const int at = std::countr_zero(backslashes);
    if (at == kBlock - 1) {
      escaped_ = 1;
      return;
    }
    bits_ &= ~(uint64_t{2} << at);
    backslashes &= ~(uint64_t{3} << at);
  }
}

}  // namespace varve::record
