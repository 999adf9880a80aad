// Pages on their way out: values are gathered behind room for the header and the levels, so that a
// page is compressed, checksummed and headed without being moved.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.h"
#include "parquet/indexed_page.h"
#include "parquet/value_order.h"

namespace varve::parquet {

struct CodecChoice {
  int codec = 0;  // arrow::Compression
  int level = 0;  // only if has_level
  bool has_level = false;
};

// A finished page: header and body, ready to be written.
struct EncodedPage {
  Buffer bytes;
  size_t begin = 0;  // of the header, in bytes
  PageHeader header;
  uint32_t nulls = 0;
  int64_t plain_bytes = 0;            // of byte arrays, without their lengths
  std::vector<int64_t> level_counts;  // by level, if the column has levels
  ValueBounds bounds{ValueOrder::kNone};

  size_t size() const { return bytes.size() - begin; }
};

struct ValueRange {
  uint32_t first = 0, last = 0;  // [first, last) of a page's values
};

// A page being filled. The caller appends values to `values()` and says which rows have them.
class PageDraft {
 public:
  // For at most rows_max rows, of about values_bytes.
  PageDraft(const ColumnShape& shape, uint32_t rows_max, size_t values_bytes);

  Buffer& bytes() { return bytes_; }  // values are appended to its end
  size_t values_bytes() const { return bytes_.size() - front_; }
  uint32_t rows() const { return rows_; }
  uint32_t values() const { return values_; }

  void AddFull(uint32_t rows) {  // none of them null
    if (!levels_.empty()) AppendLevels(rows, static_cast<uint8_t>(shape_.max_level));
    rows_ += rows;
    values_ += rows;
  }
  void AddNulls(uint32_t rows, uint8_t level);
  // Which of a page's rows [row, row + rows) have values; those are the caller's to append.
  ValueRange AddRows(const IndexedPage& page, uint32_t row, uint32_t rows);

  // A page of PLAIN values.
  Result<EncodedPage> FinishPlain(const CodecChoice& codec, ValueOrder order) &&;
  // A page of dictionary indices, which are not appended as values.
  Result<EncodedPage> FinishIndices(const CodecChoice& codec, const uint32_t* indices,
                                    int bit_width) &&;

 private:
  void AppendLevels(uint32_t rows, uint8_t level);
  void AddLevels(const uint8_t* levels, uint32_t rows, uint32_t values);
  Result<EncodedPage> Finish(const CodecChoice& codec, PageEncoding encoding, EncodedPage page);

  ColumnShape shape_;
  size_t front_ = 0;  // where values begin
  Buffer bytes_;
  Buffer levels_;  // empty while every row has a value
  uint32_t rows_ = 0, values_ = 0;
};

// A dictionary page of PLAIN entries.
Result<EncodedPage> EncodeDictionary(const Buffer& entries, uint32_t count,
                                     const CodecChoice& codec);

}  // namespace varve::parquet
