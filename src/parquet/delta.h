// The encodings that store what differs from the value before, or bytes by their place: their
// values as PLAIN has them. See "Encodings" of the Parquet format.
#pragma once

#include <cstdint>
#include <span>

#include "core/result.h"
#include "parquet/buffer.h"

namespace varve::parquet {

// All take the bytes behind a page's levels and as many values as the page has that are not null.
// Up to Buffer::kSlack bytes behind them may be read. kCorrupt: they are not what the encoding
// says.

// DELTA_BINARY_PACKED; width: 4 or 8. A difference may be packed in up to 64 bits, whatever the
// width: DuckDB takes 32-bit differences without their overflow.
Result<Buffer> DecodeDeltaIntegers(std::span<const uint8_t> bytes, uint32_t values, uint32_t width);

// DELTA_LENGTH_BYTE_ARRAY; values with their lengths in front.
Result<Buffer> DecodeDeltaLengths(std::span<const uint8_t> bytes, uint32_t values);

// DELTA_BYTE_ARRAY; width: of every value, or 0: of their own length, which is then in front.
Result<Buffer> DecodeDeltaBytes(std::span<const uint8_t> bytes, uint32_t values, uint32_t width);

// BYTE_STREAM_SPLIT.
Result<Buffer> DecodeByteStreamSplit(std::span<const uint8_t> bytes, uint32_t values,
                                     uint32_t width);

}  // namespace varve::parquet
