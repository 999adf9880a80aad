#include <arrow/io/file.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <parquet/arrow/reader.h>
#include <parquet/bloom_filter.h>
#include <parquet/bloom_filter_reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include "merge/merge.h"
#include "merge/random_tables.h"
#include "parquet/codec.h"
#include "temp_dir.h"

namespace varve::merge {
namespace {

namespace pq = ::parquet;
using ::testing::HasSubstr;

constexpr int kColumns = 6;
constexpr int kFixedBytes = 12;

const std::shared_ptr<arrow::Schema>& Schema() {
  static const auto schema = arrow::schema(
      {arrow::field("ts", arrow::int64(), false), arrow::field("i", arrow::int32()),
       arrow::field("l", arrow::int64()), arrow::field("d", arrow::float64()),
       arrow::field("s", arrow::utf8()), arrow::field("f", arrow::fixed_size_binary(kFixedBytes))});
  return schema;
}

const std::vector<std::string>& Names() {
  static const std::vector<std::string> names = Schema()->field_names();
  return names;
}

std::string Fixed(int64_t number) {
  std::string text = std::to_string(number);
  return text.insert(0, kFixedBytes - text.size(), '0');
}

// The number as each column has it.
void AppendRow(int64_t ts, int64_t number, arrow::ArrayBuilder** columns) {
  auto& i = static_cast<arrow::Int32Builder&>(*columns[1]);
  auto& l = static_cast<arrow::Int64Builder&>(*columns[2]);
  auto& d = static_cast<arrow::DoubleBuilder&>(*columns[3]);
  auto& s = static_cast<arrow::StringBuilder&>(*columns[4]);
  auto& f = static_cast<arrow::FixedSizeBinaryBuilder&>(*columns[5]);
  ASSERT_TRUE(static_cast<arrow::Int64Builder&>(*columns[0]).Append(ts).ok());
  ASSERT_TRUE(i.Append(static_cast<int32_t>(number)).ok() && l.Append(number).ok());
  ASSERT_TRUE(d.Append(static_cast<double>(number)).ok());
  ASSERT_TRUE(s.Append("text " + std::to_string(number)).ok() && f.Append(Fixed(number)).ok());
}

// Even numbers of a range, in some order; ts from begin on, by step; a null now and then.
std::shared_ptr<arrow::Table> EvenNumbers(int64_t rows, int64_t variety, int64_t begin,
                                          int64_t step) {
  std::vector<std::unique_ptr<arrow::ArrayBuilder>> builders;
  arrow::ArrayBuilder* columns[kColumns];
  for (int c = 0; c < kColumns; ++c) {
    builders.push_back(*arrow::MakeBuilder(Schema()->field(c)->type()));
    columns[c] = builders.back().get();
  }
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t ts = begin + row * step;
    if (row % 7 == 3) {
      EXPECT_TRUE(static_cast<arrow::Int64Builder&>(*columns[0]).Append(2 * ts).ok());
      for (int c = 1; c < kColumns; ++c) EXPECT_TRUE(columns[c]->AppendNull().ok());
    } else {
      AppendRow(2 * ts, (ts * 31 % variety) * 2, columns);
    }
  }
  std::vector<std::shared_ptr<arrow::Array>> arrays;
  for (auto& builder : builders) arrays.push_back(*builder->Finish());
  return arrow::Table::Make(Schema(), arrays);
}

uint64_t HashOf(const pq::BloomFilter& filter, int column, int64_t number) {
  const std::string fixed = Fixed(number);
  switch (column) {
    case 1:
      return filter.Hash(static_cast<int32_t>(number));
    case 3:
      return filter.Hash(static_cast<double>(number));
    case 4:
      return filter.Hash(std::string_view("text " + std::to_string(number)));
    case 5: {
      const pq::FLBA value(reinterpret_cast<const uint8_t*>(fixed.data()));
      return filter.Hash(&value, kFixedBytes);
    }
    default:
      return filter.Hash(number);
  }
}

// A file's row groups: their numbers (by l, or ts), and the filters.
class Filters {
 public:
  explicit Filters(const std::string& path)
      : reader_(pq::ParquetFileReader::OpenFile(path)), footer_(reader_->metadata()) {}

  int groups() const { return footer_->num_row_groups(); }
  std::unique_ptr<pq::BloomFilter> Get(int group, int column) {
    const auto filters = reader_->GetBloomFilterReader().RowGroup(group);
    return filters == nullptr ? nullptr : filters->GetColumnBloomFilter(column);
  }
  uint32_t Bytes(int group, int column) {
    const auto filter = Get(group, column);
    return filter == nullptr ? 0 : filter->GetBitsetSize();
  }

 private:
  std::unique_ptr<pq::ParquetFileReader> reader_;
  std::shared_ptr<pq::FileMetaData> footer_;
};

std::shared_ptr<arrow::Table> ReadGroup(const std::string& path, int group) {
  auto file = *arrow::io::ReadableFile::Open(path);
  auto reader = *pq::arrow::OpenFile(file, arrow::default_memory_pool());
  return *reader->ReadRowGroup(group);
}

// Every number of the row group is found in the column's filter, few others are.
void CheckFilter(const pq::BloomFilter& filter, const arrow::Table& rows, int column) {
  const auto numbers = rows.column(column == 0 ? 0 : 2);
  for (const auto& chunk : numbers->chunks()) {
    const auto& values = static_cast<const arrow::Int64Array&>(*chunk);
    for (int64_t row = 0; row < values.length(); ++row) {
      if (values.IsNull(row)) continue;
      ASSERT_TRUE(filter.FindHash(HashOf(filter, column, values.Value(row))))
          << values.Value(row) << " of column " << column;
    }
  }
  int found = 0;
  for (int i = 0; i < 20'000; ++i) found += filter.FindHash(HashOf(filter, column, 2 * i + 1));
  EXPECT_LT(found, 20'000 * 3 / 100) << "column " << column;
}

void CheckFile(const std::string& path) {
  Filters filters(path);
  for (int group = 0; group < filters.groups(); ++group) {
    const auto rows = ReadGroup(path, group);
    for (int column = 0; column < kColumns; ++column) {
      const auto filter = filters.Get(group, column);
      ASSERT_NE(filter, nullptr) << "row group " << group << ", column " << column;
      CheckFilter(*filter, *rows, column);
    }
  }
}

class BloomTest : public ::testing::Test {
 protected:
  BloomTest() {
    options_.keys = {{"ts", false, false}};
    options_.codec = *parquet::ParseCodec("none");  // the inputs'
    options_.threads = 2;
    options_.sync = false;
    options_.bloom_columns = Names();
  }
  std::string out() const { return dir_.File("merged.parquet"); }
  void Add(const arrow::Table& table, int64_t group_rows = 1 << 20) {
    paths_.push_back(dir_.File("in" + std::to_string(paths_.size()) + ".parquet"));
    WriteTable(paths_.back(), table, group_rows);
  }
  void Interleaved(int64_t rows, int64_t variety) {
    for (int i = 0; i < 3; ++i) Add(*EvenNumbers(rows, variety, i, 3), 5000);
  }
  Error Failure() {
    auto merged = MergeFiles(paths_, out(), options_);
    EXPECT_FALSE(merged.ok());
    return merged.ok() ? Error{} : merged.error();
  }
  MergeSummary Merged(uint32_t threads = 2) {
    options_.threads = threads;
    auto merged = MergeFiles(paths_, out(), options_);
    if (!merged.ok()) ADD_FAILURE() << merged.error().message;
    return merged.ok() ? *merged : MergeSummary();
  }
  std::string Bytes() const {
    std::ifstream file(out(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void CheckWithThreads() {
    Merged(1);
    const std::string bytes = Bytes();
    Merged(4);
    EXPECT_TRUE(bytes == Bytes()) << "the threads change the output";
    CheckFile(out());
  }

  TempDir dir_;
  std::vector<std::string> paths_;
  MergeOptions options_;
};

TEST_F(BloomTest, ADictionarysValuesAreFoundAndFewOthers) {
  Interleaved(10'000, 300);
  options_.group_rows_max = 8000;
  CheckWithThreads();
  Filters filters(out());
  EXPECT_EQ(filters.groups(), 4);
  EXPECT_EQ(filters.Bytes(0, 4), 512u) << "300 values of 10 bits";
}

TEST_F(BloomTest, PlainValuesAreFoundAndFewOthers) {
  Interleaved(10'000, 1 << 20);
  options_.group_rows_max = 8000;
  options_.dictionary_bytes_max = 0;
  CheckWithThreads();
}

TEST_F(BloomTest, PagesOfOneColumnShareAFilterWhateverThreadMakesThem) {
  Interleaved(110'000, 1 << 20);
  options_.group_rows_max = 300'000;
  options_.page_bytes = 64 << 10;
  options_.dictionary_bytes_max = 0;
  CheckWithThreads();
}

TEST_F(BloomTest, AFilterIsAsLargeAsItsDistinctValuesNeed) {
  Interleaved(10'000, 20);
  options_.dictionary_bytes_max = 0;
  Merged();
  Filters filters(out());
  EXPECT_LE(filters.Bytes(0, 1), 64u);
  EXPECT_EQ(filters.Bytes(0, 0), 64u << 10) << "30,000 values of 10 bits";
}

TEST_F(BloomTest, OnlyChosenColumnsHaveFilters) {
  Interleaved(1000, 20);
  options_.bloom_columns = {"s"};
  Merged();
  Filters filters(out());
  for (int column = 0; column < kColumns; ++column) {
    EXPECT_EQ(filters.Bytes(0, column) > 0, column == 4) << column;
  }
  options_.bloom_columns = {};
  Merged();
  EXPECT_EQ(Filters(out()).Bytes(0, 4), 0u);
}

TEST_F(BloomTest, AColumnOfNullsHasAFilterThatFindsNothing) {
  const auto some = EvenNumbers(500, 20, 0, 1);
  const auto nulls = std::make_shared<arrow::ChunkedArray>(
      *arrow::MakeArrayOfNull(arrow::utf8(), some->num_rows()));
  Add(**some->SetColumn(4, Schema()->field(4), nulls));
  Merged();
  const auto filter = Filters(out()).Get(0, 4);
  ASSERT_NE(filter, nullptr);
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(filter->FindHash(HashOf(*filter, 4, i)));
}

TEST_F(BloomTest, WhatEqualsAFloatIsFoundThoughItsBytesAreOthers) {
  arrow::Int64Builder ts;
  arrow::DoubleBuilder d;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double value : {-0.0, -nan, 1.5}) {
    ASSERT_TRUE(ts.Append(1).ok() && d.Append(value).ok());
  }
  Add(*arrow::Table::Make(
      arrow::schema({arrow::field("ts", arrow::int64()), arrow::field("d", arrow::float64())}),
      {*ts.Finish(), *d.Finish()}));
  options_.bloom_columns = {"d"};
  Merged();
  const auto filter = Filters(out()).Get(0, 1);
  ASSERT_NE(filter, nullptr);
  for (const double value : {0.0, -0.0, nan, std::copysign(nan, -1.0), 1.5}) {
    EXPECT_TRUE(filter->FindHash(filter->Hash(value))) << value;
  }
  EXPECT_FALSE(filter->FindHash(filter->Hash(-1.5)));
}

TEST_F(BloomTest, ARowGroupWithoutFiltersIsNotCopied) {
  for (int i = 2; i >= 0; --i) Add(*EvenNumbers(20'000, 1 << 20, i * 20'000, 1));
  EXPECT_EQ(Merged().rows_copied, 0u);
  CheckFile(out());
  options_.bloom_columns = {};
  EXPECT_EQ(Merged().rows_copied, 60'000u);
}

TEST_F(BloomTest, ARowGroupWithFiltersIsCopiedWithThem) {
  std::vector<std::string> copies;
  for (int i = 2; i >= 0; --i) {
    paths_.clear();
    Add(*EvenNumbers(20'000, 1 << 20, i * 20'000, 1));
    Merged();
    copies.push_back(dir_.File("copy" + std::to_string(i) + ".parquet"));
    std::filesystem::rename(out(), copies.back());
  }
  paths_ = copies;
  EXPECT_EQ(Merged().rows_copied, 60'000u);
  CheckWithThreads();
  Filters filters(out());
  EXPECT_EQ(filters.Bytes(0, 4), Filters(copies.back()).Bytes(0, 4));
}

TEST_F(BloomTest, AFilterThatIsDamagedIsNotCopied) {
  Add(*EvenNumbers(20'000, 1 << 20, 0, 1));
  Merged();
  const auto footer = pq::ParquetFileReader::OpenFile(out())->metadata();
  const int64_t at = *footer->RowGroup(0)->ColumnChunk(4)->bloom_filter_offset();
  std::string bytes = Bytes();
  bytes[static_cast<size_t>(at)] = '\x7f';
  paths_ = {dir_.File("bad.parquet")};
  std::ofstream(paths_[0], std::ios::binary) << bytes;
  const Error error = Failure();
  EXPECT_EQ(error.kind, ErrorKind::kCorrupt);
  EXPECT_THAT(error.message, HasSubstr(paths_[0] + ": row group 0, column s"));
  options_.copy = false;
  Merged();
  CheckFile(out());
}

TEST_F(BloomTest, FiltersAreThereAfterSortingAndPasses) {
  for (int i = 0; i < 240; ++i) {
    Add(*EvenNumbers(200, 1 << 20, i, i % 10 == 0 ? -240 : 240));
  }
  options_.unsorted = Unsorted::kSort;
  options_.memory_bytes_max = 1;  // the least
  options_.group_rows_max = 8000;
  const MergeSummary done = Merged();
  EXPECT_EQ(done.files_sorted, 24u);
  EXPECT_GT(done.passes, 1u);
  CheckFile(out());
}

TEST_F(BloomTest, ColumnsThatCannotHaveAFilterAreNamed) {
  const auto some = EvenNumbers(500, 20, 0, 1);
  arrow::BooleanBuilder good;
  ASSERT_TRUE(good.AppendValues(std::vector<bool>(500, true)).ok());
  arrow::HalfFloatBuilder half;
  ASSERT_TRUE(half.AppendValues(std::vector<uint16_t>(500, 1)).ok());
  const auto more = *some->AddColumn(6, arrow::field("good", arrow::boolean()),
                                     std::make_shared<arrow::ChunkedArray>(*good.Finish()));
  Add(**more->AddColumn(7, arrow::field("half", arrow::float16()),
                        std::make_shared<arrow::ChunkedArray>(*half.Finish())));
  for (const char* name : {"good", "half", "nothing"}) {
    options_.bloom_columns = {"s", name};
    const Error error = Failure();
    EXPECT_EQ(error.kind, ErrorKind::kInvalid);
    EXPECT_THAT(error.message, HasSubstr(std::string("column ") + name));
    EXPECT_FALSE(std::filesystem::exists(out()));
  }
}

// A table with a list of a row's number, and one more.
std::shared_ptr<arrow::Table> WithLists(const std::shared_ptr<arrow::Table>& table) {
  auto values = std::make_shared<arrow::Int64Builder>();
  arrow::ListBuilder lists(arrow::default_memory_pool(), values);
  for (int64_t row = 0; row < table->num_rows(); ++row) {
    EXPECT_TRUE(lists.Append().ok() && values->AppendValues({2 * row, 2 * row + 100'000}).ok());
  }
  const auto array = *lists.Finish();
  return *table->AddColumn(kColumns, arrow::field("list", array->type()),
                           std::make_shared<arrow::ChunkedArray>(array));
}

TEST_F(BloomTest, FiltersAreThereWhereRowsGoThroughArrow) {
  for (int i = 0; i < 3; ++i) Add(*WithLists(EvenNumbers(2000, 1 << 20, i, 3)));
  options_.bloom_columns.push_back("list.list.element");
  options_.group_rows_max = 3000;
  EXPECT_TRUE(Merged().by_rows);
  CheckFile(out());
  Filters filters(out());
  ASSERT_EQ(filters.groups(), 2);
  int found = 0;
  for (int group = 0; group < 2; ++group) {
    const auto filter = filters.Get(group, kColumns);
    ASSERT_NE(filter, nullptr);
    EXPECT_LE(filter->GetBitsetSize(), 8u << 10) << "it was not folded";
    for (int64_t row = 0; row < 2000; ++row) found += filter->FindHash(filter->Hash(2 * row));
  }
  EXPECT_GE(found, 2000) << "each number is in a row group";
}

}  // namespace
}  // namespace varve::merge
