#include "parquet/delta.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include "core/bytes.h"

namespace varve::parquet {

namespace {

constexpr uint64_t kValueBytesMax = std::numeric_limits<int32_t>::max();

Error BadDelta(std::string what) { return MakeError(ErrorKind::kCorrupt, std::move(what)); }
Error EndsWithin() { return BadDelta("ends within its values"); }

// LEB128, as the format has its numbers.
Result<uint64_t> TakeVarint(std::span<const uint8_t>& in) {
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (in.empty()) return EndsWithin();
    const uint8_t byte = in.front();
    in = in.subspan(1);
    if (shift < 64) value |= uint64_t{byte & 0x7fu} << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return BadDelta("has a number of more than ten bytes");
}

Result<uint64_t> TakeZigZag(std::span<const uint8_t>& in) {
  const uint64_t coded = TRY(TakeVarint(in));
  return coded >> 1 ^ (~(coded & 1) + 1);
}

// Number i of those that are packed with `bits` each, the least significant bit first.
uint64_t PackedAt(const uint8_t* packed, size_t i, uint32_t bits) {
  const size_t at = i * bits;
  const auto shift = static_cast<uint32_t>(at % 8);
  uint64_t value = GetLe<uint64_t>(reinterpret_cast<const char*>(packed + at / 8)) >> shift;
  if (shift + bits > 64) value |= uint64_t{packed[at / 8 + 8]} << (64 - shift);
  return bits == 64 ? value : value & ((uint64_t{1} << bits) - 1);
}

// Goes on behind the numbers, if there are exactly as many. T: what they wrap around in.
template <typename T>
Status DecodeIntegers(std::span<const uint8_t>& in, uint32_t values, bool exact, T* out) {
  const uint64_t block = TRY(TakeVarint(in));
  const uint64_t minis = TRY(TakeVarint(in));
  const uint64_t count = TRY(TakeVarint(in));
  auto last = static_cast<T>(TRY(TakeZigZag(in)));
  if (minis == 0 || minis > block || block % minis != 0 || block / minis % 8 != 0) {
    return BadDelta("has delta blocks of an impossible size");
  }
  if (count < values || (exact && count > values)) {
    return BadDelta("has " + std::to_string(count) + " delta-coded values, the page says " +
                    std::to_string(values));
  }
  const uint64_t mini_values = block / minis;
  uint32_t done = 0;
  if (done < values) out[done++] = last;
  while (done < values) {
    const auto least = static_cast<T>(TRY(TakeZigZag(in)));
    if (in.size() < minis) return EndsWithin();
    const std::span<const uint8_t> widths = in.first(minis);
    in = in.subspan(minis);
    for (size_t mini = 0; mini < minis && done < values; ++mini) {
      const uint32_t bits = widths[mini];
      if (bits > 64) return BadDelta("has delta-coded values of more than 64 bits");
      const auto take = static_cast<uint32_t>(std::min<uint64_t>(mini_values, values - done));
      if ((uint64_t{take} * bits + 7) / 8 > in.size()) return EndsWithin();
      for (uint32_t i = 0; i < take; ++i) {
        last = static_cast<T>(last + least + static_cast<T>(PackedAt(in.data(), i, bits)));
        out[done++] = last;
      }
      // The last one is filled up, but not by every writer.
      const uint64_t whole = mini_values > kValueBytesMax ? kValueBytesMax : mini_values / 8 * bits;
      in = in.subspan(std::min<uint64_t>(whole, in.size()));
    }
  }
  return {};
}

Result<Buffer> DecodeLengths(std::span<const uint8_t>& in, uint32_t values) {
  Buffer lengths;
  lengths.Resize(size_t{values} * 4);
  TRY(DecodeIntegers(in, values, true, lengths.As<uint32_t>()));
  return lengths;
}

}  // namespace

Result<Buffer> DecodeDeltaIntegers(std::span<const uint8_t> bytes, uint32_t values,
                                   uint32_t width) {
  Buffer out;
  out.Resize(size_t{values} * width);
  TRY(width == 4 ? DecodeIntegers(bytes, values, false, out.As<uint32_t>())
                 : DecodeIntegers(bytes, values, false, out.As<uint64_t>()));
  return out;
}

Result<Buffer> DecodeDeltaLengths(std::span<const uint8_t> bytes, uint32_t values) {
  const Buffer lengths = TRY(DecodeLengths(bytes, values));
  Buffer out;
  out.Resize(bytes.size() + size_t{values} * 4);
  size_t at = 0;
  for (uint32_t i = 0; i < values; ++i) {
    const uint32_t length = lengths.As<uint32_t>()[i];
    if (length > bytes.size()) return BadDelta("has a value that is longer than the page");
    PutLe(reinterpret_cast<char*>(out.data() + at), length);
    if (length > 0) std::memcpy(out.data() + at + 4, bytes.data(), length);
    bytes = bytes.subspan(length);
    at += size_t{length} + 4;
  }
  out.Resize(at);
  return out;
}

Result<Buffer> DecodeDeltaBytes(std::span<const uint8_t> bytes, uint32_t values, uint32_t width) {
  const Buffer prefixes = TRY(DecodeLengths(bytes, values));
  const Buffer suffixes = TRY(DecodeLengths(bytes, values));
  Buffer out;
  size_t last = 0;  // where the value before begins
  uint64_t last_length = 0;
  for (uint32_t i = 0; i < values; ++i) {
    const uint64_t prefix = prefixes.As<uint32_t>()[i], suffix = suffixes.As<uint32_t>()[i];
    if (prefix > last_length)
      return BadDelta("has a value that repeats more than the one before it");
    if (suffix > bytes.size()) return BadDelta("has a value that is longer than the page");
    const uint64_t length = prefix + suffix;
    if (width > 0 && length != width)
      return BadDelta("has a value that is not as long as its type");
    if (out.size() + length + 4 > kValueBytesMax) return BadDelta("has more than 2 GiB of values");
    const size_t front = width > 0 ? 0 : 4;
    uint8_t* to = out.Extend(front + length);
    if (front > 0) PutLe(reinterpret_cast<char*>(to), static_cast<uint32_t>(length));
    to += front;
    if (prefix > 0) std::memcpy(to, out.data() + last, prefix);
    if (suffix > 0) std::memcpy(to + prefix, bytes.data(), suffix);
    last = static_cast<size_t>(to - out.data());
    last_length = length;
    bytes = bytes.subspan(suffix);
  }
  return out;
}

Result<Buffer> DecodeByteStreamSplit(std::span<const uint8_t> bytes, uint32_t values,
                                     uint32_t width) {
  if (bytes.size() != size_t{values} * width) return BadDelta("is not as long as its values");
  Buffer out;
  out.Resize(bytes.size());
  for (uint32_t byte = 0; byte < width; ++byte) {
    const uint8_t* from = bytes.data() + size_t{byte} * values;
    uint8_t* to = out.data() + byte;
    for (uint32_t i = 0; i < values; ++i) to[size_t{i} * width] = from[i];
  }
  return out;
}

}  // namespace varve::parquet
