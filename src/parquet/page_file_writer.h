// A Parquet file from finished pages: chunk metadata, page index, footer, by libparquet's builders.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "parquet/page_encoder.h"
#include "parquet/page_header.h"

namespace parquet {
class ColumnChunkMetaData;
class ColumnIndex;
class SchemaDescriptor;
}  // namespace parquet

namespace varve::parquet {

struct SortedBy {
  int column = 0;
  bool descending = false, nulls_first = false;
};

// A page of a copied chunk, and where it is, relative to the chunk's first byte.
struct CopiedPage {
  PageType type = PageType::kData;
  int32_t encoding = kPlain;
  int64_t offset = 0;
  int32_t bytes = 0;  // with the header
  int64_t first_row = 0;

  bool is_data() const { return type != PageType::kDictionary; }
};

// Calls come in the file's order: groups, in them columns, in them pages.
class PageFileWriter {
 public:
  using Sink = std::function<Status(std::string_view)>;
  PageFileWriter(Sink sink, std::shared_ptr<const ::parquet::SchemaDescriptor> schema,
                 const CodecChoice& codec, const std::vector<SortedBy>& sorting);
  ~PageFileWriter();

  Status Open();
  Status BeginGroup(int64_t rows);
  Status BeginColumn();
  Status AddPage(const EncodedPage& page);
  Status EndColumn();
  // A column whose pages are taken as they are, but for their headers' length: CopyBytes in order,
  // then the rest of old's metadata. What encodings the pages have, they say themselves: not all
  // writers do. The index is of the data pages; nullptr: there is none.
  Status CopyBytes(std::string_view bytes);
  Status EndCopiedColumn(const ::parquet::ColumnChunkMetaData& old,
                         const std::vector<CopiedPage>& pages, const ::parquet::ColumnIndex* index);
  // The Bloom filter of the column that was begun, as a file has it.
  void AddFilter(std::string bytes);
  Status EndGroup();
  // The file's bytes.
  Result<uint64_t> Close(const std::vector<std::pair<std::string, std::string>>& metadata);

  uint64_t bytes_written() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve::parquet
