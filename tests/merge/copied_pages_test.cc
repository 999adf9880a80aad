// Pages that are copied have a checksum in the output, whether their input gave them one or not.
#include <arrow/io/file.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <parquet/arrow/writer.h>
#include <parquet/file_reader.h>
#include <parquet/file_writer.h>
#include <parquet/metadata.h>
#include <parquet/page_index.h>
#include <parquet/properties.h>

#include <map>

#include "core/bytes.h"
#include "merge/random_tables.h"
#include "parquet/codec.h"
#include "parquet/crc32.h"
#include "parquet/page_header.h"
#include "temp_dir.h"

namespace varve::merge {
namespace {

namespace pq = ::parquet;

constexpr int kRows = 20'000;

std::shared_ptr<arrow::Table> Table(int64_t first) {
  arrow::Int64Builder ts;
  arrow::StringBuilder names, texts;
  for (int64_t row = first; row < first + kRows; ++row) {
    EXPECT_TRUE(ts.Append(row).ok());
    EXPECT_TRUE(
        (row % 3 == 0 ? names.AppendNull() : names.Append("n" + std::to_string(row % 7))).ok());
    EXPECT_TRUE(texts.Append("text " + std::to_string(row * row)).ok());
  }
  return arrow::Table::Make(
      arrow::schema({arrow::field("ts", arrow::int64(), false), arrow::field("n", arrow::utf8()),
                     arrow::field("t", arrow::utf8())}),
      {*ts.Finish(), *names.Finish(), *texts.Finish()});
}

class CopiedPagesTest : public ::testing::Test {
 protected:
  CopiedPagesTest() {
    options_.keys = {{"ts", false, false}};
    options_.codec = *parquet::ParseCodec("snappy");
    options_.sync = false;
  }
  void Add(pq::WriterProperties::Builder builder) {
    const int64_t number = static_cast<int64_t>(paths_.size());
    paths_.push_back(dir_.File(std::to_string(number) + ".parquet"));
    tables_.push_back(Table(number * kRows));
    builder.compression(arrow::Compression::SNAPPY)->disable_dictionary("t");
    auto file = *arrow::io::FileOutputStream::Open(paths_.back());
    EXPECT_TRUE(pq::arrow::WriteTable(*tables_.back(), arrow::default_memory_pool(), file, 1 << 20,
                                      builder.data_pagesize(10'000)->build())
                    .ok());
    EXPECT_TRUE(file->Close().ok());
  }
  // The footer of the last input says nothing of its pages' encodings, as some writers' do not.
  void ForgetEncodings() {
    const auto old = pq::ParquetFileReader::OpenFile(paths_.back())->metadata();
    const auto properties =
        pq::WriterProperties::Builder().compression(arrow::Compression::SNAPPY)->build();
    const auto builder = pq::FileMetaDataBuilder::Make(old->schema(), properties);
    for (int g = 0; g < old->num_row_groups(); ++g) {
      auto* group = builder->AppendRowGroup();
      group->set_num_rows(old->RowGroup(g)->num_rows());
      for (int c = 0; c < old->num_columns(); ++c) {
        const auto chunk = old->RowGroup(g)->ColumnChunk(c);
        auto* made = group->NextColumnChunk();
        if (chunk->is_stats_set()) made->SetStatistics(*chunk->encoded_statistics());
        const bool dictionary = chunk->has_dictionary_page();
        made->Finish(chunk->num_values(), dictionary ? chunk->dictionary_page_offset() : 0, -1,
                     chunk->data_page_offset(), chunk->total_compressed_size(),
                     chunk->total_uncompressed_size(), dictionary, false, {}, {});
      }
      group->Finish(old->RowGroup(g)->total_byte_size(), static_cast<int16_t>(g));
    }
    std::string bytes = BytesOf(paths_.back());
    bytes.resize(bytes.size() - 8 - GetLe<uint32_t>(bytes.data() + bytes.size() - 8));
    auto file = *arrow::io::FileOutputStream::Open(paths_.back());
    EXPECT_TRUE(file->Write(bytes.data(), static_cast<int64_t>(bytes.size())).ok());
    pq::WriteFileMetaData(*builder->Finish(), file.get());
    EXPECT_TRUE(file->Close().ok());
  }
  // All pages of a chunk have checksums; the page index and the metadata's sizes are theirs.
  void ExpectChecked(const std::string& file, const pq::ColumnChunkMetaData& chunk,
                     const pq::OffsetIndex& index) {
    auto at = static_cast<size_t>(chunk.has_dictionary_page() ? chunk.dictionary_page_offset()
                                                              : chunk.data_page_offset());
    const size_t end = at + static_cast<size_t>(chunk.total_compressed_size());
    EXPECT_FALSE(chunk.has_index_page());  // some readers take the least offset for the begin
    int64_t uncompressed = 0;
    size_t data_pages = 0;
    std::map<std::pair<bool, int>, int> encodings, said;  // by whether of data, encoding: pages
    while (at < end) {
      const auto* bytes = reinterpret_cast<const uint8_t*>(file.data());
      const auto header = parquet::ParsePageHeader({bytes + at, end - at});
      ASSERT_TRUE(header.ok()) << header.error().message;
      ASSERT_TRUE(header->crc);
      const auto size = static_cast<size_t>(header->compressed_bytes);
      EXPECT_EQ(parquet::PageCrc32(bytes + at + header->header_bytes, size), *header->crc);
      ++encodings[{header->is_data(), header->encoding}];
      if (header->is_data()) {
        EXPECT_EQ(index.page_locations().at(data_pages).offset, static_cast<int64_t>(at));
        EXPECT_EQ(index.page_locations().at(data_pages++).compressed_page_size,
                  static_cast<int64_t>(header->header_bytes + size));
      }
      uncompressed += static_cast<int64_t>(header->header_bytes) + header->uncompressed_bytes;
      at += header->header_bytes + size;
    }
    for (const pq::PageEncodingStats& stats : chunk.encoding_stats()) {
      said[{stats.page_type != pq::PageType::DICTIONARY_PAGE, stats.encoding}] += stats.count;
    }
    EXPECT_EQ(said, encodings);
    EXPECT_EQ(data_pages, index.page_locations().size());
    EXPECT_EQ(uncompressed, chunk.total_uncompressed_size());
  }
  void ExpectCopied() {
    const std::string out = dir_.File("out.parquet");
    const auto merged = MergeFiles(paths_, out, options_);
    ASSERT_TRUE(merged.ok()) << merged.error().message;
    EXPECT_EQ(merged->rows_copied, paths_.size() * kRows);
    EXPECT_TRUE(RowsOf(*ReadTable(out)) == SortedRows(tables_, options_.keys));
    const std::string bytes = BytesOf(out);
    const auto reader = pq::ParquetFileReader::OpenFile(out);
    for (int group = 0; group < reader->metadata()->num_row_groups(); ++group) {
      for (int column = 0; column < 3; ++column) {
        const auto index = reader->GetPageIndexReader()->RowGroup(group)->GetOffsetIndex(column);
        ASSERT_NE(index, nullptr);
        ExpectChecked(bytes, *reader->metadata()->RowGroup(group)->ColumnChunk(column), *index);
      }
    }
  }

  TempDir dir_;
  std::vector<std::string> paths_;
  std::vector<std::shared_ptr<arrow::Table>> tables_;
  MergeOptions options_;
};

TEST_F(CopiedPagesTest, OfEveryVersionGetAChecksum) {
  using Builder = pq::WriterProperties::Builder;
  Add(Builder());
  Add(*Builder().enable_page_checksum());
  Add(*Builder().data_page_version(pq::ParquetDataPageVersion::V2));
  Add(*Builder().disable_statistics()->enable_write_page_index());
  Add(*Builder().disable_dictionary());
  Add(*Builder().dictionary_pagesize_limit(40'000));  // the rest is plain
  Add(Builder());
  ForgetEncodings();
  ExpectCopied();
}

}  // namespace
}  // namespace varve::merge
