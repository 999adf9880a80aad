// Chunks whose pages have indices and plain values in turns, which Parquet allows and few write.
#include <arrow/io/file.h>
#include <gtest/gtest.h>
#include <parquet/arrow/writer.h>
#include <parquet/file_reader.h>
#include <parquet/file_writer.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>

#include "core/bytes.h"
#include "merge/chunk_pages.h"
#include "merge/random_tables.h"
#include "parquet/codec.h"
#include "temp_dir.h"

namespace varve::merge {
namespace {

namespace pq = ::parquet;

constexpr int64_t kRows = 12'000, kPageRows = 100;

std::shared_ptr<arrow::Table> Table(int64_t number) {
  arrow::Int64Builder ts;
  arrow::StringBuilder large, small;
  for (int64_t row = 0; row < kRows; ++row) {
    EXPECT_TRUE(ts.Append(row * 3 + number).ok());
    const std::string text = std::to_string(row % 700 * 7919 + number);
    EXPECT_TRUE(
        (row % 9 == 0 ? large.AppendNull() : large.Append(std::string(300, 'x') + text)).ok());
    EXPECT_TRUE(small.Append(text).ok());
  }
  return arrow::Table::Make(
      arrow::schema({arrow::field("ts", arrow::int64(), false), arrow::field("l", arrow::utf8()),
                     arrow::field("s", arrow::utf8(), false)}),
      {*ts.Finish(), *large.Finish(), *small.Finish()});
}

// Pages of kPageRows rows, whatever they take.
void WritePages(const std::string& path, const arrow::Table& table, bool dictionary) {
  pq::WriterProperties::Builder builder;
  builder.write_batch_size(kPageRows)->data_pagesize(1)->compression(arrow::Compression::SNAPPY);
  if (!dictionary) builder.disable_dictionary();
  auto file = *arrow::io::FileOutputStream::Open(path);
  ASSERT_TRUE(
      pq::arrow::WriteTable(table, arrow::default_memory_pool(), file, 1 << 20, builder.build())
          .ok());
  ASSERT_TRUE(file->Close().ok());
}

struct Chunk {
  std::string dictionary;  // headers are a part of pages
  std::vector<std::string> pages;
  int64_t uncompressed = 0;  // of all
};

Chunk ChunkOf(const std::string& path, int column) {
  const std::string file = BytesOf(path);
  const auto place =
      pq::ParquetFileReader::OpenFile(path)->metadata()->RowGroup(0)->ColumnChunk(column);
  Chunk chunk;
  chunk.uncompressed = place->total_uncompressed_size();
  ForEachPage(file, *place, [&](const parquet::PageHeader& header, size_t at) {
    const std::string page =
        file.substr(at, header.header_bytes + static_cast<size_t>(header.compressed_bytes));
    if (header.is_data()) {
      EXPECT_EQ(header.values, kPageRows);
      chunk.pages.push_back(page);
    } else {
      chunk.dictionary = page;
    }
  });
  return chunk;
}

// Each run of `turn` pages is from the one file or the other; the first is plain if plain_first.
void WriteMixed(const std::string& path, const std::string& indices, const std::string& plain,
                size_t turn, bool plain_first) {
  const auto old = pq::ParquetFileReader::OpenFile(indices)->metadata();
  const auto builder = pq::FileMetaDataBuilder::Make(
      old->schema(),
      pq::WriterProperties::Builder().compression(arrow::Compression::SNAPPY)->build());
  auto* group = builder->AppendRowGroup();
  group->set_num_rows(kRows);
  std::string bytes = "PAR1";
  for (int column = 0; column < old->num_columns(); ++column) {
    const Chunk from[] = {ChunkOf(indices, column), ChunkOf(plain, column)};
    ASSERT_EQ(from[0].pages.size(), from[1].pages.size());
    const auto begin = static_cast<int64_t>(bytes.size());
    bytes += from[0].dictionary;
    const auto data = static_cast<int64_t>(bytes.size());
    for (size_t page = 0; page < from[0].pages.size(); ++page) {
      bytes += from[(page / turn + (plain_first ? 1 : 0)) % 2].pages[page];
    }
    group->NextColumnChunk()->Finish(
        kRows, begin, -1, data, static_cast<int64_t>(bytes.size()) - begin,
        from[0].uncompressed + from[1].uncompressed, true, false, {}, {});
  }
  group->Finish(static_cast<int64_t>(bytes.size()), 0);
  auto file = *arrow::io::FileOutputStream::Open(path);
  ASSERT_TRUE(file->Write(bytes.data(), static_cast<int64_t>(bytes.size())).ok());
  pq::WriteFileMetaData(*builder->Finish(), file.get());
  ASSERT_TRUE(file->Close().ok());
}

TEST(MixedPages, AreMergedWhicheverComesAfterWhich) {
  const TempDir dir;
  std::vector<std::string> paths;
  std::vector<std::shared_ptr<arrow::Table>> tables;
  const size_t turns[] = {1, 3, 40};
  for (int64_t number = 0; number < 6; ++number) {
    tables.push_back(Table(number));
    const std::string name = std::to_string(number);
    WritePages(dir.File("indices"), *tables.back(), true);
    WritePages(dir.File("plain"), *tables.back(), false);
    paths.push_back(dir.File(name + ".parquet"));
    WriteMixed(paths.back(), dir.File("indices"), dir.File("plain"), turns[number % 3], number > 2);
    ASSERT_TRUE(RowsOf(*ReadTable(paths.back())) == RowsOf(*tables.back())) << number;
  }
  MergeOptions options;
  options.keys = {{"ts", false, false}};
  options.sync = false;
  for (const uint32_t group_rows : {131'072, 7'000}) {
    options.group_rows_max = group_rows;
    const auto merged = MergeFiles(paths, dir.File("out.parquet"), options);
    ASSERT_TRUE(merged.ok()) << merged.error().message;
    EXPECT_TRUE(RowsOf(*ReadTable(dir.File("out.parquet"))) == SortedRows(tables, options.keys));
  }
}

}  // namespace
}  // namespace varve::merge
