// Row groups that are copied: their pages are checked by checksum, or given one where they have
// none, but neither decompressed nor encoded again.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/result.h"
#include "merge/input_set.h"
#include "parquet/buffer.h"
#include "parquet/page_file_writer.h"

namespace varve::merge {

// Whether the output may have the part as it is.
bool MayCopy(const InputSet& inputs, const Part& part, int16_t codec, uint32_t rows_min,
             uint32_t rows_max);

// A column chunk on its way from one file to the other.
struct CopiedChunk {
  // Bytes of it as they are, behind a page's header that is another now, if there is one.
  struct Piece {
    std::string header;
    size_t begin = 0, end = 0;
  };
  parquet::Buffer bytes;
  std::vector<Piece> pieces;
  std::vector<parquet::CopiedPage> pages;
  std::string filter;  // of a column that is filtered
};

// Reads the chunk, and checks that its pages are as many rows as the part; with its Bloom filter,
// if the output's is to have one.
Result<CopiedChunk> ReadChunk(const InputSet& inputs, const Part& part, uint32_t column);

// Adds the chunk, with what the input says of it.
Status WriteChunk(const InputSet& inputs, const Part& part, uint32_t column,
                  const ::parquet::FileMetaData& footer, const CopiedChunk& chunk,
                  parquet::PageFileWriter& writer);

}  // namespace varve::merge
