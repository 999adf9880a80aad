// Codecs by the names that people write.
#pragma once

#include <string_view>

#include "core/result.h"
#include "parquet/page_encoder.h"

namespace varve::parquet {

// "none", "snappy", "lz4", "zstd", "gzip", "brotli"; the last three with a level: "zstd:9".
Result<CodecChoice> ParseCodec(std::string_view text);

// Whether a Parquet file may have it.
bool IsParquetCodec(const CodecChoice& codec);

}  // namespace varve::parquet
