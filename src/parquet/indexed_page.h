// A page that was decompressed and made so that any range of its rows can be copied: its levels are
// bytes, each row knows its value, each value its place. Values are as in PLAIN encoding, whatever
// the page's own is, or indices of a dictionary, which is such a page itself.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/result.h"
#include "parquet/buffer.h"
#include "parquet/page_header.h"
#include "parquet/timestamp_unit.h"

namespace parquet {
class ColumnDescriptor;
}

namespace varve::parquet {

// What a column's values are in memory.
struct ColumnShape {
  int32_t physical = 0;  // the format's Type
  uint32_t width = 0;    // bytes of a value; a boolean has one; 0: bytes with their length in front
  int16_t max_level = 0;  // the definition level of a value that is there
  TimestampUnit unit = TimestampUnit::kNone;

  bool is_bytes() const { return width == 0; }
  bool operator==(const ColumnShape&) const = default;
};

ColumnShape ShapeOf(const ::parquet::ColumnDescriptor& column);

struct IndexedPage {
  uint32_t rows = 0;
  uint32_t values = 0;  // rows that are not null
  bool has_indices = false;
  Buffer bytes;       // what values points into
  Buffer offsets;     // uint32_t[values + 1], of byte arrays: where each begins, with its length
  Buffer indices;     // uint32_t[values], into the dictionary
  Buffer levels;      // uint8_t[rows], if any row is null
  Buffer value_rows;  // uint32_t[rows + 1], with levels: how many values come before each row
  const uint8_t* data = nullptr;

  uint32_t ValueAt(uint32_t row) const {
    return levels.empty() ? row : value_rows.As<uint32_t>()[row];
  }
  // A value as PLAIN encoding has it.
  std::string_view Plain(uint32_t value, const ColumnShape& shape) const {
    if (!shape.is_bytes()) {
      return {reinterpret_cast<const char*>(data) + size_t{value} * shape.width, shape.width};
    }
    const uint32_t* at = offsets.As<uint32_t>() + value;
    return {reinterpret_cast<const char*>(data) + at[0], at[1] - at[0]};
  }
  size_t memory_bytes() const {
    return bytes.size() + offsets.size() + indices.size() + levels.size() + value_rows.size();
  }
};

// How the pages of a column chunk are read.
struct PageReading {
  const ::parquet::ColumnDescriptor* column = nullptr;  // the file's
  int codec = 0;                                        // arrow::Compression
  ColumnShape from;
  ColumnShape to;  // wider integers and floats, times of another unit, or more levels
  uint32_t dictionary_entries = 0;  // that its indices may name
};

// Checks, decompresses and indexes a page; body is what follows its header. Anything that is not
// as the format wants it is kCorrupt; a time that the finer unit has no room for is kInvalid.
Result<IndexedPage> IndexPage(const PageHeader& header, std::span<const uint8_t> body,
                              const PageReading& reading);
// The same; a page that is not compressed keeps the body.
Result<IndexedPage> IndexPage(const PageHeader& header, Buffer body, const PageReading& reading);

// Rows [begin, end) alone, so that the rest need not be held.
IndexedPage SlicePage(const IndexedPage& page, const ColumnShape& shape, uint32_t begin,
                      uint32_t end);

}  // namespace varve::parquet
