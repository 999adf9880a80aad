// The format's mix of runs and bit-packed groups, of levels and of dictionary indices.
#pragma once

#include <cstdint>
#include <span>

#include "parquet/buffer.h"

namespace varve::parquet {

// Exactly count values of bit_width bits; false if the bytes end before, or the width is over 32.
template <typename T>
bool DecodeHybrid(std::span<const uint8_t> bytes, int bit_width, uint32_t count, T* out);
extern template bool DecodeHybrid(std::span<const uint8_t>, int, uint32_t, uint8_t*);
extern template bool DecodeHybrid(std::span<const uint8_t>, int, uint32_t, uint32_t*);

// Whether they begin with a run of the value that is no shorter than count.
bool IsOneRun(std::span<const uint8_t> bytes, int bit_width, uint32_t value, uint32_t count);

// Appends them; runs of fifteen and more stay runs, shorter ones may.
template <typename T>
void EncodeHybrid(const T* values, uint32_t count, int bit_width, Buffer& out);
extern template void EncodeHybrid(const uint8_t*, uint32_t, int, Buffer&);
extern template void EncodeHybrid(const uint32_t*, uint32_t, int, Buffer&);
// One run.
void EncodeRun(uint32_t value, uint32_t count, int bit_width, Buffer& out);
// No more than this many bytes for count values.
size_t HybridBytesMax(uint32_t count, int bit_width);

}  // namespace varve::parquet
