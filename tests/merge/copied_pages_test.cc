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
#include <parquet/size_statistics.h>
#include <parquet/statistics.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "core/bytes.h"
#include "merge/chunk_pages.h"
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
    EXPECT_FALSE(chunk.has_index_page());  // some readers take the least offset for the begin
    int64_t uncompressed = 0;
    size_t data_pages = 0;
    std::map<std::pair<bool, int>, int> encodings, said;  // by whether of data, encoding: pages
    const auto* bytes = reinterpret_cast<const uint8_t*>(file.data());
    ForEachPage(file, chunk, [&](const parquet::PageHeader& header, size_t at) {
      ASSERT_TRUE(header.crc);
      const auto size = static_cast<size_t>(header.compressed_bytes);
      EXPECT_EQ(parquet::PageCrc32(bytes + at + header.header_bytes, size), *header.crc);
      ++encodings[{header.is_data(), header.encoding}];
      if (header.is_data()) {
        EXPECT_EQ(index.page_locations().at(data_pages).offset, static_cast<int64_t>(at));
        EXPECT_EQ(index.page_locations().at(data_pages++).compressed_page_size,
                  static_cast<int64_t>(header.header_bytes + size));
      }
      uncompressed += static_cast<int64_t>(header.header_bytes) + header.uncompressed_bytes;
    });
    for (const pq::PageEncodingStats& stats : chunk.encoding_stats()) {
      said[{stats.page_type != pq::PageType::DICTIONARY_PAGE, stats.encoding}] += stats.count;
    }
    EXPECT_EQ(said, encodings);
    EXPECT_EQ(data_pages, index.page_locations().size());
    EXPECT_EQ(uncompressed, chunk.total_uncompressed_size());
  }
  void ExpectCopied() {
    const auto merged = MergeFiles(paths_, Out(), options_);
    ASSERT_TRUE(merged.ok()) << merged.error().message;
    EXPECT_EQ(merged->rows_copied, paths_.size() * kRows);
    EXPECT_TRUE(RowsOf(*ReadTable(Out())) == SortedRows(tables_, options_.keys));
    ExpectAllChecked(Out());
  }
  void ExpectAllChecked(const std::string& out) {
    const std::string bytes = BytesOf(out);
    const auto reader = pq::ParquetFileReader::OpenFile(out);
    for (int group = 0; group < reader->metadata()->num_row_groups(); ++group) {
      for (int column = 0; column < reader->metadata()->num_columns(); ++column) {
        const auto index = reader->GetPageIndexReader()->RowGroup(group)->GetOffsetIndex(column);
        ASSERT_NE(index, nullptr);
        ExpectChecked(bytes, *reader->metadata()->RowGroup(group)->ColumnChunk(column), *index);
      }
    }
  }

  std::string Out() const { return dir_.File("out.parquet"); }

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

// Files that overlap by a few rows: what lies between is one run, and its pages are whole.
class LongRunsTest : public CopiedPagesTest {
 protected:
  static constexpr int64_t kRunRows = 40'000, kShared = 500;

  void AddRun(pq::WriterProperties::Builder builder) {
    const auto number = static_cast<int64_t>(paths_.size());
    arrow::Int64Builder ts, numbers;
    arrow::StringBuilder texts, nulls;
    for (int64_t row = 0; row < kRunRows; ++row) {
      EXPECT_TRUE(ts.Append(number * (kRunRows - kShared) + row).ok());
      EXPECT_TRUE((row % 5 == 0 ? numbers.AppendNull() : numbers.Append(row * number - 7)).ok());
      const std::string text = "text " + std::to_string(row * row * 7919 + number);
      EXPECT_TRUE(texts.Append(text + text + text + text).ok());
      EXPECT_TRUE((row / 3'000 % 2 == 0 ? nulls.AppendNull() : nulls.Append(text + text)).ok());
    }
    tables_.push_back(arrow::Table::Make(
        arrow::schema({arrow::field("ts", arrow::int64(), false), arrow::field("i", arrow::int64()),
                       arrow::field("t", arrow::utf8(), false), arrow::field("n", arrow::utf8())}),
        {*ts.Finish(), *numbers.Finish(), *texts.Finish(), *nulls.Finish()}));
    paths_.push_back(dir_.File(std::to_string(number) + ".parquet"));
    auto file = *arrow::io::FileOutputStream::Open(paths_.back());
    EXPECT_TRUE(pq::arrow::WriteTable(*tables_.back(), arrow::default_memory_pool(), file, 1 << 20,
                                      builder.disable_dictionary()->data_pagesize(60'000)->build())
                    .ok());
    EXPECT_TRUE(file->Close().ok());
  }
  // Bodies of data pages of the column.
  static std::multiset<std::string> Pages(const std::string& path, int column) {
    std::multiset<std::string> pages;
    const std::string file = BytesOf(path);
    const auto footer = pq::ParquetFileReader::OpenFile(path)->metadata();
    for (int group = 0; group < footer->num_row_groups(); ++group) {
      const auto chunk = footer->RowGroup(group)->ColumnChunk(column);
      ForEachPage(file, *chunk, [&](const parquet::PageHeader& header, size_t at) {
        pages.insert(
            file.substr(at + header.header_bytes, static_cast<size_t>(header.compressed_bytes)));
      });
    }
    return pages;
  }
  // How many pages of the input are in the output, and how many it has.
  std::pair<size_t, size_t> Copied(size_t input, int column) {
    const auto out = Pages(Out(), column), in = Pages(paths_[input], column);
    size_t copied = 0;
    for (const std::string& page : in) copied += out.count(page);
    return {copied, in.size()};
  }
  void Merge() {
    options_.page_bytes = 60'000;
    const auto merged = MergeFiles(paths_, Out(), options_);
    ASSERT_TRUE(merged.ok()) << merged.error().message;
    EXPECT_TRUE(RowsOf(*ReadTable(Out())) == SortedRows(tables_, options_.keys));
    ExpectAllChecked(Out());
  }
};

TEST_F(LongRunsTest, TheirPagesAreCopiedAndAllElseIsAsIfTheyWereNot) {
  pq::WriterProperties::Builder lz4;
  lz4.compression(arrow::Compression::LZ4);
  for (int i = 0; i < 3; ++i) AddRun(lz4);
  options_.codec = *parquet::ParseCodec("lz4");
  options_.bloom_columns = {"t"};
  Merge();
  for (const int column : {2, 3}) {
    const auto [copied, all] = Copied(1, column);
    EXPECT_GE(copied + 5, all) << column;  // but for those of both ends
    EXPECT_GT(copied, all / 2) << column;
  }
  // The same rows, of which none can be copied.
  const std::string other = dir_.File("other.parquet");
  std::vector<std::string> packed;
  for (size_t i = 0; i < tables_.size(); ++i) {
    packed.push_back(dir_.File("packed" + std::to_string(i) + ".parquet"));
    WriteTable(packed.back(), *tables_[i], 1 << 20);
  }
  ASSERT_TRUE(MergeFiles(packed, other, options_).ok());
  const auto ours = pq::ParquetFileReader::OpenFile(Out())->metadata();
  const auto theirs = pq::ParquetFileReader::OpenFile(other)->metadata();
  ASSERT_EQ(ours->num_row_groups(), theirs->num_row_groups());
  for (int group = 0; group < ours->num_row_groups(); ++group) {
    for (int column = 0; column < 4; ++column) {
      const auto a = ours->RowGroup(group)->ColumnChunk(column);
      const auto b = theirs->RowGroup(group)->ColumnChunk(column);
      EXPECT_TRUE(a->statistics()->Equals(*b->statistics())) << column;
      if (column == 0) continue;  // its sizes are known
      EXPECT_EQ(a->size_statistics()->unencoded_byte_array_data_bytes,
                b->size_statistics()->unencoded_byte_array_data_bytes);
      EXPECT_EQ(a->size_statistics()->definition_level_histogram,
                b->size_statistics()->definition_level_histogram);
    }
  }
  const std::string one = BytesOf(Out());
  options_.threads = 1;
  Merge();
  EXPECT_TRUE(BytesOf(Out()) == one) << "the output depends on the threads";
}

TEST_F(LongRunsTest, OnlyWhatTheOutputMayHaveIsCopied) {
  pq::WriterProperties::Builder snappy, second, gzip;
  AddRun(*snappy.compression(arrow::Compression::SNAPPY));
  AddRun(*second.compression(arrow::Compression::SNAPPY)
              ->data_page_version(pq::ParquetDataPageVersion::V2));
  AddRun(*gzip.compression(arrow::Compression::GZIP));
  Merge();
  EXPECT_GT(Copied(0, 2).first, 20u);
  EXPECT_EQ(Copied(1, 2).first, 0u);
  EXPECT_EQ(Copied(2, 2).first, 0u);
}

TEST_F(LongRunsTest, ADamagedPageIsFoundThoughItIsCopied) {
  pq::WriterProperties::Builder checked;
  checked.compression(arrow::Compression::SNAPPY)->enable_page_checksum();
  for (int i = 0; i < 2; ++i) AddRun(checked);
  std::string bytes = BytesOf(paths_[0]);
  const auto footer = pq::ParquetFileReader::OpenFile(paths_[0])->metadata();
  const int64_t begin = footer->RowGroup(0)->ColumnChunk(2)->data_page_offset();
  bytes[static_cast<size_t>(begin) + 100'000] ^= 1;
  std::ofstream(paths_[0], std::ios::binary) << bytes;
  options_.page_bytes = 60'000;
  const auto merged = MergeFiles(paths_, Out(), options_);
  ASSERT_FALSE(merged.ok());
  EXPECT_THAT(merged.error().message, ::testing::HasSubstr("0.parquet: row group 0, column t"));
  EXPECT_FALSE(std::filesystem::exists(Out()));
}

}  // namespace
}  // namespace varve::merge
