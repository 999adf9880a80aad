#include "merge/copy_group.h"

#include <parquet/metadata.h>
#include <parquet/page_index.h>
#include <parquet/properties.h>

#include <algorithm>

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

// The page at `at`, with its checksum; returns how many bytes it has then.
size_t AddPiece(const parquet::PageHeader& header, uint32_t crc, size_t at, CopiedChunk& chunk) {
  const size_t body = at + header.header_bytes;
  const size_t end = body + static_cast<size_t>(header.compressed_bytes);
  if (!header.crc && header.crc_place > 0) {
    chunk.pieces.push_back(
        {parquet::WithCrc({chunk.bytes.data() + at, header.header_bytes}, header, crc), body, end});
    return chunk.pieces.back().header.size() + end - body;
  }
  if (chunk.pieces.empty()) chunk.pieces.push_back({{}, at, at});
  chunk.pieces.back().end = end;
  return end - at;
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
  size_t number = 0, out = 0;
  for (size_t at = 0; at < chunk.bytes.size(); ++number) {
    auto bad = [&](std::string what) { return Bad(inputs, part, column, number, std::move(what)); };
    const auto header =
        parquet::ParsePageHeader({chunk.bytes.data() + at, chunk.bytes.size() - at});
    if (!header.ok()) return bad(header.error().message);
    const size_t body = at + header->header_bytes;
    const auto size = static_cast<size_t>(header->compressed_bytes);
    if (size > chunk.bytes.size() - body) return bad("is longer than its column");
    const uint32_t crc = parquet::PageCrc32(chunk.bytes.data() + body, size);
    if (header->crc && crc != *header->crc) {
      return bad("has a checksum that is not that of its bytes");
    }
    const size_t bytes = AddPiece(*header, crc, at, chunk);
    if (header->is_data() || header->type == parquet::PageType::kDictionary) {
      chunk.pages.push_back({header->type, header->encoding, static_cast<int64_t>(out),
                             static_cast<int32_t>(bytes), static_cast<int64_t>(rows)});
    }
    if (header->is_data()) rows += static_cast<uint64_t>(header->values);
    at = body + size;
    out += bytes;
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
  const auto* bytes = reinterpret_cast<const char*>(chunk.bytes.data());
  for (const CopiedChunk::Piece& piece : chunk.pieces) {
    TRY(writer.CopyBytes(piece.header));
    TRY(writer.CopyBytes({bytes + piece.begin, piece.end - piece.begin}));
  }
  if (!chunk.filter.empty()) writer.AddFilter(chunk.filter);
  const auto data_pages = static_cast<size_t>(std::count_if(
      chunk.pages.begin(), chunk.pages.end(), [](const auto& page) { return page.is_data(); }));
  const bool fits = index != nullptr && index->null_pages().size() == data_pages;
  return writer.EndCopiedColumn(*old, chunk.pages, fits ? index.get() : nullptr);
}

}  // namespace varve::merge
