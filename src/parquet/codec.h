// Codecs: by the names that people write, and at work on a page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/result.h"

namespace varve::parquet {

struct CodecChoice {
  int codec = 0;  // arrow::Compression
  int level = 0;  // only if has_level
  bool has_level = false;
};

enum class PageContent : uint8_t { kByteArrays, kOther };

// "none", "snappy", "lz4", "zstd", "gzip", "brotli"; the last three with a level: "zstd:9".
Result<CodecChoice> ParseCodec(std::string_view text);

// Whether a Parquet file may have it.
bool IsParquetCodec(const CodecChoice& codec);

// `to` has room for CompressedBytesMax; returns the bytes that were written.
size_t CompressedBytesMax(const CodecChoice& choice, size_t size);
// About what a thread that compresses has beside its pages, where that is much.
size_t EncoderBytes(const CodecChoice& choice);
// LZ4 and Snappy store a page that they would hardly make smaller. zstd without a level is level 1,
// in longer steps over byte arrays: a sixth less time there, some 3 % more bytes.
Result<size_t> Compress(const CodecChoice& choice, PageContent content,
                        std::span<const uint8_t> from, std::span<uint8_t> to);

// Exactly to.size() bytes; kCorrupt if it is not they. codec: arrow::Compression.
Status Decompress(int codec, std::span<const uint8_t> from, std::span<uint8_t> to);

}  // namespace varve::parquet
