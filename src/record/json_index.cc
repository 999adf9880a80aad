// The index is made 64 bytes at a time, as bit masks with a bit for each byte, after "Parsing
// Gigabytes of JSON per Second" (Langdale, Lemire 2019):
// 1. classify: quotes, backslashes, the six structural characters, white space, control characters;
// 2. a character behind an odd run of backslashes is escaped; quotes that are not open and close;
// 3. a prefix xor over them marks what lies inside strings;
// 4. a token starts at each structural character and at each scalar's first byte outside of
// strings. UTF-8 is only looked at when some byte is not ASCII. It is our own, not simdjson,
// because Arrow's shared libraries export a simdjson of another version under the same names, and
// two versions of one class in a process is no ground for a parser of hostile input to stand on.
#include "record/json_index.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "record/event.h"
#include "record/utf8.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace varve::record {

namespace {

constexpr size_t kBlock = 64;
const uint32_t kNoTokens[1] = {0};

struct Masks {  // bit i is about byte i of the block
  uint64_t backslash = 0, quote = 0, structural = 0, space = 0, control = 0, high = 0;
};

struct State {             // carried from block to block
  uint64_t escaped = 0;    // 1: the next block's first byte is escaped
  uint64_t in_string = 0;  // all ones: the next block begins inside a string
  uint64_t scalar = 0;     // 1: the last byte was part of a number or atom
  uint64_t control = 0, high = 0, backslash = 0;
  uint32_t* out;
};

// The quotes that open or close a string.
[[gnu::always_inline]] inline uint64_t OpenQuotes(State& state, const Masks& m) {
  state.backslash |= m.backslash;
  if (m.backslash == 0) {
    const uint64_t escaped = std::exchange(state.escaped, 0);
    return m.quote & ~escaped;
  }
  constexpr uint64_t kEven = 0x5555555555555555;
  const uint64_t backslash = m.backslash & ~state.escaped;
  const uint64_t follows = backslash << 1 | state.escaped;
  const uint64_t odd_starts = backslash & ~kEven & ~follows;
  uint64_t even_runs = 0;
  state.escaped = __builtin_add_overflow(odd_starts, backslash, &even_runs) ? 1 : 0;
  const uint64_t escaped = (kEven ^ even_runs << 1) & follows;
  return m.quote & ~escaped;
}

[[gnu::always_inline]] inline void Emit(State& state, uint64_t bits, uint32_t base) {
  if (bits == 0) return;
  const int count = std::popcount(bits);
  uint32_t* out = state.out;
  for (int i = 0; i < 8; ++i, bits &= bits - 1) out[i] = base + std::countr_zero(bits);
  if (count > 8) {
    for (int i = 8; i < 16; ++i, bits &= bits - 1) out[i] = base + std::countr_zero(bits);
    for (int i = 16; i < count; ++i, bits &= bits - 1) out[i] = base + std::countr_zero(bits);
  }
  state.out += count;
}

// inside: prefix xor of the quotes.
[[gnu::always_inline]] inline void Tokens(State& state, const Masks& m, uint64_t quotes,
                                          uint64_t inside, uint32_t base) {
  inside ^= state.in_string;
  state.in_string = static_cast<uint64_t>(static_cast<int64_t>(inside) >> 63);
  state.control |= m.control & inside;
  state.high |= m.high;
  const uint64_t scalar = ~(m.structural | m.space);
  const uint64_t unquoted = scalar & ~quotes;
  const uint64_t follows = unquoted << 1 | state.scalar;
  state.scalar = unquoted >> 63;
  const uint64_t string_tail = inside ^ quotes;
  Emit(state, (m.structural | (scalar & ~follows)) & ~string_tail, base);
}

enum ByteClass : uint8_t { kQuote = 1, kBackslash = 2, kStructural = 4, kSpace = 8, kControl = 16 };

constexpr std::array<uint8_t, 256> kClasses = [] {
  std::array<uint8_t, 256> table{};
  for (int c = 0; c < 0x20; ++c) table[c] = kControl;
  for (const char c : {' ', '\t', '\n', '\r'}) table[static_cast<uint8_t>(c)] |= kSpace;
  for (const char c : {'{', '}', '[', ']', ':', ','}) table[static_cast<uint8_t>(c)] = kStructural;
  table['"'] = kQuote;
  table['\\'] = kBackslash;
  return table;
}();

void IndexBlockPortable(State& state, const uint8_t* in, uint32_t base) {
  Masks m;
  for (uint32_t i = 0; i < kBlock; ++i) {
    const uint64_t bit = uint64_t{1} << i;
    const uint8_t c = kClasses[in[i]];
    if ((c & kQuote) != 0) m.quote |= bit;
    if ((c & kBackslash) != 0) m.backslash |= bit;
    if ((c & kStructural) != 0) m.structural |= bit;
    if ((c & kSpace) != 0) m.space |= bit;
    if ((c & kControl) != 0) m.control |= bit;
    if (in[i] >= 0x80) m.high |= bit;
  }
  const uint64_t quotes = OpenQuotes(state, m);
  uint64_t inside = quotes;
  for (int shift = 1; shift < 64; shift *= 2) inside ^= inside << shift;
  Tokens(state, m, quotes, inside, base);
}

#ifdef __x86_64__

#define VARVE_AVX2 __attribute__((target("avx2,pclmul,bmi,popcnt")))

VARVE_AVX2 inline uint64_t Bits(__m256i low, __m256i high) {
  return static_cast<uint32_t>(_mm256_movemask_epi8(low)) |
         static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(high))) << 32;
}

VARVE_AVX2 inline uint64_t Equal(__m256i low, __m256i high, char c) {
  const __m256i wanted = _mm256_set1_epi8(c);
  return Bits(_mm256_cmpeq_epi8(low, wanted), _mm256_cmpeq_epi8(high, wanted));
}

// A byte is white space, or structural, if a table at its low four bits holds it. 0x0C and 0x1A
// pass for structural as well: they become tokens, which no walk accepts.
VARVE_AVX2 inline void IndexBlockAvx2(State& state, const uint8_t* in, uint32_t base) {
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in));
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + 32));
  const __m256i spaces = _mm256_broadcastsi128_si256(_mm_setr_epi8(
      ' ', 100, 100, 100, 17, 100, 113, 2, 100, '\t', '\n', 112, 100, '\r', 100, 100));
  const __m256i structurals = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ':', '{', ',', '}', 0, 0));
  const __m256i curl = _mm256_set1_epi8(0x20);  // [ and ] become { and }
  const __m256i last_control = _mm256_set1_epi8(0x1F);
  Masks m;
  m.backslash = Equal(low, high, '\\');
  m.quote = Equal(low, high, '"');
  m.space = Bits(_mm256_cmpeq_epi8(low, _mm256_shuffle_epi8(spaces, low)),
                 _mm256_cmpeq_epi8(high, _mm256_shuffle_epi8(spaces, high)));
  m.structural =
      Bits(_mm256_cmpeq_epi8(_mm256_or_si256(low, curl), _mm256_shuffle_epi8(structurals, low)),
           _mm256_cmpeq_epi8(_mm256_or_si256(high, curl), _mm256_shuffle_epi8(structurals, high)));
  m.control = Bits(_mm256_cmpeq_epi8(_mm256_max_epu8(low, last_control), last_control),
                   _mm256_cmpeq_epi8(_mm256_max_epu8(high, last_control), last_control));
  m.high = Bits(low, high);
  const uint64_t quotes = OpenQuotes(state, m);
  const __m128i product =
      _mm_clmulepi64_si128(_mm_set_epi64x(0, static_cast<int64_t>(quotes)), _mm_set1_epi8(-1), 0);
  Tokens(state, m, quotes, static_cast<uint64_t>(_mm_cvtsi128_si64(product)), base);
}

VARVE_AVX2 void IndexAvx2(State& state, const uint8_t* in, size_t blocks, uint32_t base) {
  for (size_t i = 0; i < blocks; ++i) {
    IndexBlockAvx2(state, in + i * kBlock, base + static_cast<uint32_t>(i * kBlock));
  }
}

#endif

void IndexPortable(State& state, const uint8_t* in, size_t blocks, uint32_t base) {
  for (size_t i = 0; i < blocks; ++i) {
    IndexBlockPortable(state, in + i * kBlock, base + static_cast<uint32_t>(i * kBlock));
  }
}

using IndexBlocks = void (*)(State&, const uint8_t*, size_t, uint32_t);

IndexBlocks Fastest() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("pclmul") &&
      __builtin_cpu_supports("bmi")) {
    return IndexAvx2;
  }
#endif
  return IndexPortable;
}

const IndexBlocks kFastest = Fastest();

}  // namespace

JsonIndex::JsonIndex(bool portable) : portable_(portable), tokens_(kNoTokens) {}
JsonIndex::~JsonIndex() = default;

const char* JsonIndex::Build(std::string_view text) {
  tokens_ = kNoTokens;
  count_ = 0;
  if (text.size() > UINT32_MAX - 2 * kJsonPaddingBytes) return "the text is too large";
  if (text.empty()) return nullptr;
  const size_t wanted = text.size() + kBlock;  // every byte a token, and what Emit writes too much
  if (capacity_ < wanted) {
    buffer_.reset(new uint32_t[std::bit_ceil(wanted)]);
    capacity_ = std::bit_ceil(wanted);
  }
  const auto* in = reinterpret_cast<const uint8_t*>(text.data());
  const IndexBlocks index = portable_ ? IndexPortable : kFastest;
  State state;
  state.out = buffer_.get();
  const size_t whole = text.size() / kBlock;
  index(state, in, whole, 0);
  uint8_t last[kBlock];
  std::memset(last, ' ', kBlock);
  std::memcpy(last, in + whole * kBlock, text.size() % kBlock);
  index(state, last, 1, static_cast<uint32_t>(whole * kBlock));
  if (state.in_string != 0) return "a string does not end";
  if (state.control != 0) return "a control character inside a string";
  if (state.high != 0 && !IsUtf8(text)) return "the text is not UTF-8";
  has_escapes_ = state.backslash != 0;
  tokens_ = buffer_.get();
  count_ = static_cast<uint32_t>(state.out - buffer_.get());
  buffer_[count_] = static_cast<uint32_t>(text.size());
  return nullptr;
}

std::string MinifyJson(std::string_view text, const JsonIndex& index) {
  std::string out;
  out.reserve(text.size());
  for (uint32_t i = 0; i < index.count(); ++i) {
    const uint32_t begin = index.tokens()[i];
    uint32_t end = index.tokens()[i + 1];
    while ((kClasses[static_cast<uint8_t>(text[end - 1])] & kSpace) != 0) --end;
    out.append(text.substr(begin, end - begin));
  }
  return out;
}

}  // namespace varve::record
