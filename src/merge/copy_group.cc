#include "merge/copy_group.h"

#include <parquet/metadata.h>
#include <parquet/page_index.h>
#include <parquet/properties.h>

#include "parquet/crc32.h"
#include "parquet/page_header.h"
#include "parquet/try_parquet.h"
#include "parquet/value_filter.h"

namespace varve::merge {

namespace pq = ::parquet;

namespace {

constexpr uint64_t kChunkBytesMax = 32 << 20;  // it is in memory as a whole
constexpr int64_t kIndexBytesMax = 16 << 20;
constexpr uint64_t kFilterBytesMax = 8 << 20;

Error Bad(const InputSet& inputs, const Part& part, uint32_t column, size_t page,
          std::string what) {
  return InPlace(inputs, part, inputs.columns[column].name + ", page " + std::to_string(page),
                 MakeError(ErrorKind::kCorrupt, std::move(what)));
}

std::unique_ptr<pq::ColumnIndex> ReadColumnIndex(const InputSet& inputs, const Part& part,
                                                 uint32_t column,
                                                 const pq::ColumnChunkMetaData& old) {
  const auto at = old.GetColumnIndexLocation();
  if (!at || at->offset < 0 || at->length <= 0 || at->length > kIndexBytesMax) return nullptr;
  const auto bytes = inputs.files->Read(part.file, static_cast<uint64_t>(at->offset),
                                        static_cast<size_t>(at->length));
  if (!bytes.ok()) return nullptr;
  std::unique_ptr<pq::ColumnIndex> index;
  const auto made = parquet::TryParquet("read a column index", [&] {
    index = pq::ColumnIndex::Make(*inputs.schema->Column(static_cast<int>(column)), bytes->data(),
                                  at->length, pq::default_reader_properties());
  });
  return made.ok() ? std::move(index) : nullptr;
}

Result<std::string> ReadFilter(const InputSet& inputs, const Part& part, uint32_t column) {
  const ChunkPlace& place = part.chunks[column];
  const auto bytes = TRY(inputs.files->Read(part.file, place.filter_begin, place.filter_bytes));
  auto filter = parquet::CheckFilter({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (filter.ok()) return filter;
  return InPlace(inputs, part, inputs.columns[column].name, std::move(filter).error());
}

}  // namespace

bool MayCopy(const InputSet& inputs, const Part& part, int16_t codec, uint32_t rows_min,
             uint32_t rows_max) {
  if (!inputs.layout(part).as_output || part.rows < rows_min || part.rows > rows_max) return false;
  for (size_t i = 0; i < part.chunks.size(); ++i) {
    const ChunkPlace& chunk = part.chunks[i];
    if (chunk.codec != codec || chunk.bytes > kChunkBytesMax) return false;
    if (inputs.columns[i].filtered &&
        (chunk.filter_bytes == 0 || chunk.filter_bytes > kFilterBytesMax)) {
      return false;
    }
  }
  return true;
}

Result<CopiedChunk> ReadChunk(const InputSet& inputs, const Part& part, uint32_t column) {
  const ChunkPlace& place = part.chunks[column];
  CopiedChunk chunk;
  if (inputs.columns[column].filtered) chunk.filter = TRY(ReadFilter(inputs, part, column));
  chunk.bytes = TRY(inputs.files->Read(part.file, place.begin, place.bytes));
  uint64_t rows = 0;
  size_t number = 0;
  for (size_t at = 0; at < chunk.bytes.size(); ++number) {
    auto bad = [&](std::string what) { return Bad(inputs, part, column, number, std::move(what)); };
    const auto header =
        parquet::ParsePageHeader({chunk.bytes.data() + at, chunk.bytes.size() - at});
    if (!header.ok()) return bad(header.error().message);
    const size_t body = at + header->header_bytes;
    const auto size = static_cast<size_t>(header->compressed_bytes);
    if (size > chunk.bytes.size() - body) return bad("is longer than its column");
    if (header->crc && parquet::PageCrc32(chunk.bytes.data() + body, size) != *header->crc) {
      return bad("has a checksum that is not that of its bytes");
    }
    if (header->is_data()) {
      chunk.pages.push_back({static_cast<int64_t>(at), static_cast<int32_t>(body + size - at),
                             static_cast<int64_t>(rows)});
      rows += static_cast<uint64_t>(header->values);
    }
    at = body + size;
  }
  if (rows != part.rows) {
    return Bad(inputs, part, column, number,
               "the pages have " + std::to_string(rows) + " rows, the footer says " +
                   std::to_string(part.rows));
  }
  return chunk;
}

Status WriteChunk(const InputSet& inputs, const Part& part, uint32_t column,
                  const pq::FileMetaData& footer, const CopiedChunk& chunk,
                  parquet::PageFileWriter& writer) {
  std::unique_ptr<pq::ColumnChunkMetaData> old;
  TRY(parquet::TryParquet(
      inputs.path(part) + ": its footer",
      [&] {
        old = footer.RowGroup(static_cast<int>(part.group))->ColumnChunk(static_cast<int>(column));
      },
      ErrorKind::kCorrupt));
  const auto index = ReadColumnIndex(inputs, part, column, *old);
  TRY(writer.CopyBytes({reinterpret_cast<const char*>(chunk.bytes.data()), chunk.bytes.size()}));
  if (!chunk.filter.empty()) writer.AddFilter(chunk.filter);
  const bool fits = index != nullptr && index->null_pages().size() == chunk.pages.size();
  return writer.EndCopiedColumn(*old, chunk.pages, fits ? index.get() : nullptr);
}

}  // namespace varve::merge
