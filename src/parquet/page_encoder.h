// Pages on their way out: values are gathered behind room for the header and the levels, so that a
// page is compressed, checksummed and headed without being moved.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.h"
#include "parquet/codec.h"
#include "parquet/indexed_page.h"
#include "parquet/value_order.h"

namespace varve::parquet {

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

// Which rows a page has.
struct PageRows {
  uint32_t rows = 0, values = 0;    // values: rows that are not null
  const uint8_t* levels = nullptr;  // one a row; nullptr: none is null
};

// A page being filled: the caller appends its values.
class PageDraft {
 public:
  // For at most rows_max rows, of about values_bytes.
  PageDraft(const ColumnShape& shape, uint32_t rows_max, size_t values_bytes);

  Buffer& bytes() { return bytes_; }  // values are appended to its end

  // The bounds of the values.
  ValueBounds Bounds(ValueOrder order, uint32_t values) const;
  // A page of PLAIN values.
  Result<EncodedPage> FinishPlain(const CodecChoice& codec, ValueBounds bounds,
                                  const PageRows& rows) &&;
  // A page of dictionary indices, which are not appended as values.
  Result<EncodedPage> FinishIndices(const CodecChoice& codec, const uint32_t* indices,
                                    int bit_width, const PageRows& rows) &&;

 private:
  Result<EncodedPage> Finish(const CodecChoice& codec, PageEncoding encoding, const PageRows& rows,
                             EncodedPage page);

  ColumnShape shape_;
  size_t front_ = 0;  // where values begin
  Buffer bytes_;
};

// A page of PLAIN values, version 1, as it is in an input: its body, and what it was found to be.
EncodedPage CopiedPlain(PageHeader header, std::span<const uint8_t> body, const IndexedPage& page,
                        const ColumnShape& shape, ValueOrder order);

// A dictionary page of PLAIN entries.
Result<EncodedPage> EncodeDictionary(const Buffer& entries, uint32_t count,
                                     const CodecChoice& codec);

}  // namespace varve::parquet
