#include "parquet/hybrid.h"

#include <algorithm>
#include <cstring>

namespace varve::parquet {

namespace {

// A run shorter than this costs more than the bits it would take.
constexpr uint32_t kRunMin = 8;

uint64_t LoadUpTo8(const uint8_t* at, const uint8_t* end) {
  uint64_t word = 0;
  std::memcpy(&word, at, std::min<size_t>(8, static_cast<size_t>(end - at)));
  return word;
}

template <typename T>
void Unpack(const uint8_t* at, const uint8_t* end, int bit_width, uint32_t count, T* out) {
  const uint64_t mask = (uint64_t{1} << bit_width) - 1;
  uint64_t bit = 0;
  uint32_t i = 0;
  const auto size = static_cast<uint64_t>(end - at);
  for (; i < count && (bit >> 3) + 8 <= size; ++i, bit += static_cast<uint64_t>(bit_width)) {
    uint64_t word;
    std::memcpy(&word, at + (bit >> 3), 8);
    out[i] = static_cast<T>(word >> (bit & 7) & mask);
  }
  for (; i < count; ++i, bit += static_cast<uint64_t>(bit_width)) {
    out[i] = static_cast<T>(LoadUpTo8(at + (bit >> 3), end) >> (bit & 7) & mask);
  }
}

void PutVarint(uint32_t value, Buffer& out) {
  for (; value >= 128; value >>= 7) *out.Extend(1) = static_cast<uint8_t>(value | 128);
  *out.Extend(1) = static_cast<uint8_t>(value);
}

template <typename T>
void Pack(const T* values, uint32_t count, int bit_width, Buffer& out) {
  const uint32_t groups = (count + 7) / 8;
  PutVarint(groups << 1 | 1, out);
  uint8_t* to = out.Extend(size_t{groups} * static_cast<size_t>(bit_width));
  uint64_t word = 0;
  int bits = 0;
  for (uint32_t i = 0; i < groups * 8; ++i) {
    word |= static_cast<uint64_t>(i < count ? values[i] : 0) << bits;
    bits += bit_width;
    for (; bits >= 8; bits -= 8, word >>= 8) *to++ = static_cast<uint8_t>(word);
  }
}

template <typename T>
uint32_t RunAt(const T* values, uint32_t at, uint32_t count) {
  uint32_t end = at + 1;
  while (end < count && values[end] == values[at]) ++end;
  return end - at;
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
    int shift = 0;
    do {
      if (at == end || shift > 35) return false;
      head |= static_cast<uint64_t>(*at & 127) << shift;
      shift += 7;
    } while (*at++ >= 128);
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

void EncodeRun(uint32_t value, uint32_t count, int bit_width, Buffer& out) {
  PutVarint(count << 1, out);
  const auto bytes = static_cast<size_t>((bit_width + 7) / 8);
  std::memcpy(out.Extend(bytes), &value, bytes);
}

template <typename T>
void EncodeHybrid(const T* values, uint32_t count, int bit_width, Buffer& out) {
  uint32_t begin = 0;  // of what is to be packed
  for (uint32_t at = 0; at < count;) {
    const uint32_t run = RunAt(values, at, count);
    // What is packed before a run fills its last group with the run's first values.
    const uint32_t fill = (8 - (at - begin) % 8) % 8;
    if (run < kRunMin + fill) {
      at += run;
      continue;
    }
    if (at > begin) Pack(values + begin, at + fill - begin, bit_width, out);
    EncodeRun(values[at], run - fill, bit_width, out);
    at += run;
    begin = at;
  }
  if (begin < count) Pack(values + begin, count - begin, bit_width, out);
}

template void EncodeHybrid(const uint8_t*, uint32_t, int, Buffer&);
template void EncodeHybrid(const uint32_t*, uint32_t, int, Buffer&);

// A packed stretch has a head of up to five bytes and a run one of up to nine, for eight values.
size_t HybridBytesMax(uint32_t count, int bit_width) {
  return 32 + size_t{count} * static_cast<size_t>(bit_width) / 8 + size_t{count} / 8 * 14;
}

}  // namespace varve::parquet
