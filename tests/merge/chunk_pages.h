// The pages of a column chunk, as a file has them.
#pragma once

#include <gtest/gtest.h>
#include <parquet/metadata.h>

#include <string>

#include "parquet/page_header.h"

namespace varve::merge {

// see(header, at) for each, in order; at: of its header in the file, whose bytes are given.
template <typename See>
void ForEachPage(const std::string& file, const ::parquet::ColumnChunkMetaData& chunk, See see) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(file.data());
  auto at = static_cast<size_t>(chunk.has_dictionary_page() ? chunk.dictionary_page_offset()
                                                            : chunk.data_page_offset());
  const size_t end = at + static_cast<size_t>(chunk.total_compressed_size());
  while (at < end) {
    const auto header = parquet::ParsePageHeader({bytes + at, end - at});
    ASSERT_TRUE(header.ok()) << header.error().message;
    see(*header, at);
    at += header->header_bytes + static_cast<size_t>(header->compressed_bytes);
  }
}

}  // namespace varve::merge
