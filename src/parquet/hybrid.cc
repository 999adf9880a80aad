#include "parquet/hybrid.h"

#include <algorithm>
#include <cstring>

namespace varve::parquet {

namespace {

// A run shorter than this costs more than the bits it would take: a group.
constexpr uint32_t kRunMin = 8;

uint64_t LoadUpTo8(const uint8_t* at, const uint8_t* end) {
  uint64_t word = 0;
  std::memcpy(&word, at, std::min<size_t>(8, static_cast<size_t>(end - at)));
  return word;
}

// Eight values of one byte's bits each, as bytes of 0 and 1.
uint64_t Spread(uint8_t bits) {
  const uint64_t each = bits * 0x0101010101010101u & 0x8040201008040201u;
  return (each + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
}

template <typename T>
void Unpack(const uint8_t* at, const uint8_t* end, int bit_width, uint32_t count, T* out) {
  const auto width = static_cast<uint64_t>(bit_width);
  const uint64_t mask = (uint64_t{1} << bit_width) - 1;
  const auto size = static_cast<uint64_t>(end - at);
  uint32_t i = 0;
  if constexpr (sizeof(T) == 1) {
    for (; bit_width == 1 && i + 8 <= count; i += 8) {
      const uint64_t eight = Spread(at[i / 8]);
      std::memcpy(out + i, &eight, 8);
    }
  }
  // A group of eight values is as many bytes as a value has bits.
  for (; bit_width <= 8 && i + 8 <= count && i / 8 * width + 8 <= size; i += 8) {
    uint64_t word;
    std::memcpy(&word, at + i / 8 * width, 8);
    for (int k = 0; k < 8; ++k, word >>= bit_width) out[i + k] = static_cast<T>(word & mask);
  }
  uint64_t bit = i * width;
  for (; i < count && (bit >> 3) + 8 <= size; ++i, bit += width) {
    uint64_t word;
    std::memcpy(&word, at + (bit >> 3), 8);
    out[i] = static_cast<T>(word >> (bit & 7) & mask);
  }
  for (; i < count; ++i, bit += width) {
    out[i] = static_cast<T>(LoadUpTo8(at + (bit >> 3), end) >> (bit & 7) & mask);
  }
}

bool TakeVarint(const uint8_t*& at, const uint8_t* end, uint64_t& value) {
  int shift = 0;
  do {
    if (at == end || shift > 35) return false;
    value |= static_cast<uint64_t>(*at & 127) << shift;
    shift += 7;
  } while (*at++ >= 128);
  return true;
}

uint8_t* PutVarint(uint32_t value, uint8_t* to) {
  for (; value >= 128; value >>= 7) *to++ = static_cast<uint8_t>(value | 128);
  *to++ = static_cast<uint8_t>(value);
  return to;
}

uint8_t* PutRun(uint32_t value, uint32_t count, int bit_width, uint8_t* to) {
  to = PutVarint(count << 1, to);
  std::memcpy(to, &value, sizeof value);
  return to + (bit_width + 7) / 8;
}

// Writes up to eight bytes more than it packs.
template <typename T>
uint8_t* Pack(const T* values, uint32_t count, int bit_width, uint8_t* to) {
  const uint32_t groups = (count + 7) / 8;
  to = PutVarint(groups << 1 | 1, to);
  uint32_t i = 0;
  if (bit_width <= 8) {
    for (; i + 8 <= count; i += 8, to += bit_width) {
      uint64_t word = 0;
      for (int k = 7; k >= 0; --k) word = word << bit_width | values[i + static_cast<uint32_t>(k)];
      std::memcpy(to, &word, 8);
    }
  }
  uint64_t word = 0;
  int bits = 0;
  for (; i < groups * 8; ++i) {
    word |= static_cast<uint64_t>(i < count ? values[i] : 0) << bits;
    bits += bit_width;
    for (; bits >= 8; bits -= 8, word >>= 8) *to++ = static_cast<uint8_t>(word);
  }
  return to;
}

template <typename T>
bool AllSame(const T* values) {
  uint32_t differing = 0;
  for (uint32_t i = 1; i < kRunMin; ++i) differing |= uint32_t{values[i]} ^ values[0];
  return differing == 0;
}

}  // namespace

template <typename T>
bool DecodeHybrid(std::span<const uint8_t> bytes, int bit_width, uint32_t count, T* out) {
  if (bit_width < 0 || bit_width > 32) return false;
  const uint8_t* at = bytes.data();
  const uint8_t* const end = at + bytes.size();
  const auto value_bytes = static_cast<size_t>((bit_width + 7) / 8);
  while (count > 0) {
    uint64_t head = 0;
    if (!TakeVarint(at, end, head)) return false;
    if (head & 1) {
      const uint64_t groups = head >> 1;
      const uint32_t take = static_cast<uint32_t>(std::min<uint64_t>(groups * 8, count));
      // Some writers leave out the padding of the last group.
      const uint64_t whole = groups * static_cast<uint64_t>(bit_width);
      const uint64_t needed = (uint64_t{take} * static_cast<uint64_t>(bit_width) + 7) / 8;
      const auto left = static_cast<uint64_t>(end - at);
      if (groups == 0 || needed > left) return false;
      Unpack(at, end, bit_width, take, out);
      at += std::min(whole, left);
      out += take;
      count -= take;
    } else {
      const uint32_t take = static_cast<uint32_t>(std::min<uint64_t>(head >> 1, count));
      if (take == 0 || static_cast<size_t>(end - at) < value_bytes) return false;
      uint32_t value = 0;
      std::memcpy(&value, at, value_bytes);
      if (bit_width < 32 && value >> bit_width != 0) return false;
      at += value_bytes;
      std::fill_n(out, take, static_cast<T>(value));
      out += take;
      count -= take;
    }
  }
  return true;
}

template bool DecodeHybrid(std::span<const uint8_t>, int, uint32_t, uint8_t*);
template bool DecodeHybrid(std::span<const uint8_t>, int, uint32_t, uint32_t*);

bool IsOneRun(std::span<const uint8_t> bytes, int bit_width, uint32_t value, uint32_t count) {
  const uint8_t* at = bytes.data();
  const uint8_t* const end = at + bytes.size();
  uint64_t head = 0;
  if (!TakeVarint(at, end, head) || (head & 1) != 0 || head >> 1 < count) return false;
  const auto value_bytes = static_cast<size_t>((bit_width + 7) / 8);
  uint32_t got = 0;
  if (static_cast<size_t>(end - at) < value_bytes) return false;
  std::memcpy(&got, at, value_bytes);
  return got == value;
}

void EncodeRun(uint32_t value, uint32_t count, int bit_width, Buffer& out) {
  const size_t size = out.size();
  uint8_t* begin = out.Extend(HybridBytesMax(0, bit_width));
  const uint8_t* end = PutRun(value, count, bit_width, begin);
  out.Resize(size + static_cast<size_t>(end - begin));
}

// Runs are looked for where packed groups begin: a run of eight values that is not there may be
// packed, one of fifteen is found.
template <typename T>
void EncodeHybrid(const T* values, uint32_t count, int bit_width, Buffer& out) {
  const size_t size = out.size();
  uint8_t* begin = out.Extend(HybridBytesMax(count, bit_width));
  uint8_t* to = begin;
  uint32_t packed = 0;  // what is to be packed begins here
  for (uint32_t at = 0; count - at >= kRunMin;) {
    if (!AllSame(values + at)) {
      at += kRunMin;
      continue;
    }
    uint32_t end = at + kRunMin;
    while (end < count && values[end] == values[at]) ++end;
    if (at > packed) to = Pack(values + packed, at - packed, bit_width, to);
    to = PutRun(values[at], end - at, bit_width, to);
    at = packed = end;
  }
  if (packed < count) to = Pack(values + packed, count - packed, bit_width, to);
  out.Resize(size + static_cast<size_t>(to - begin));
}

template void EncodeHybrid(const uint8_t*, uint32_t, int, Buffer&);
template void EncodeHybrid(const uint32_t*, uint32_t, int, Buffer&);

// A packed stretch has a head of up to five bytes and a run one of up to nine, for eight values;
// and a whole word is written where less is meant.
size_t HybridBytesMax(uint32_t count, int bit_width) {
  return 48 + size_t{count} * static_cast<size_t>(bit_width) / 8 + size_t{count} / 8 * 14;
}

}  // namespace varve::parquet
