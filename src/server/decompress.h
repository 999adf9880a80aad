// Content-Encoding of a request's body: gzip (also deflate's zlib wrapping) and zstd, bounded in
// what comes out whatever went in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace varve::server {

enum class ContentCoding : uint8_t { kIdentity, kGzip, kZstd };

// kInvalid UNSUPPORTED_ENCODING for anything else, stacked codings included.
Result<ContentCoding> ParseContentEncoding(std::string_view header);

struct DecompressLimits {
  uint64_t bytes_max;  // of output: PAYLOAD_TOO_LARGE beyond it
  uint32_t ratio_max;  // output to input, looked at above ratio_free_bytes of output
  uint64_t ratio_free_bytes = 1 << 20;
  uint64_t padding_bytes = 64;  // capacity left behind the output
};

// INVALID_ENCODING where the stream is broken or cut off.
Result<std::string> Decompress(std::string_view in, ContentCoding coding,
                               const DecompressLimits& limits);

}  // namespace varve::server
