// Encodings that libparquet reads and some readers of Iceberg or Delta do not. Included by .cc
// files only: it needs libparquet's metadata.
#pragma once

#include <parquet/metadata.h>
#include <parquet/types.h>

#include <optional>

namespace varve::parquet {

// The first such encoding that the chunk's pages have.
inline std::optional<::parquet::Encoding::type> RareEncoding(
    const ::parquet::ColumnChunkMetaData& chunk) {
  using ::parquet::Encoding;
  using ::parquet::Type;
  const bool is_float = chunk.type() == Type::DOUBLE || chunk.type() == Type::FLOAT;
  for (const Encoding::type encoding : chunk.encodings()) {
    if (encoding == Encoding::DELTA_BYTE_ARRAY) return encoding;
    if (encoding == Encoding::BYTE_STREAM_SPLIT && !is_float) return encoding;
  }
  return std::nullopt;
}

}  // namespace varve::parquet
