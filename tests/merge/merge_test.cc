#include "merge/merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/bytes.h"
#include "merge/random_tables.h"
#include "parquet/codec.h"
#include "temp_dir.h"

namespace varve::merge {
namespace {

using ::testing::HasSubstr;
using Tables = std::vector<std::shared_ptr<arrow::Table>>;

class MergeTest : public ::testing::Test {
 protected:
  MergeTest() {
    options_.keys = {{"ts", false, false}};
    options_.codec = *parquet::ParseCodec("lz4");
    options_.threads = 2;
    options_.sync = false;
  }
  std::string out() const { return dir_.File("out/merged.parquet"); }
  void SetUp() override { std::filesystem::create_directory(dir_.File("out")); }

  std::string Add(const arrow::Table& table, int64_t group_rows = 1 << 20) {
    paths_.push_back(dir_.File("in" + std::to_string(paths_.size()) + ".parquet"));
    WriteTable(paths_.back(), table, group_rows);
    return paths_.back();
  }
  Error Failure() {
    auto merged = MergeFiles(paths_, out(), options_);
    EXPECT_FALSE(merged.ok());
    EXPECT_TRUE(std::filesystem::is_empty(dir_.File("out"))) << "something was left behind";
    return merged.ok() ? Error{} : merged.error();
  }
  std::vector<std::string> Merged() {
    auto merged = MergeFiles(paths_, out(), options_);
    if (!merged.ok()) ADD_FAILURE() << merged.error().message;
    if (!merged.ok()) return {};
    summary_ = *merged;
    std::vector<std::string> rows;
    for (const MergedFile& file : summary_.files) {
      const auto table = ReadTable(file.path);
      EXPECT_EQ(static_cast<uint64_t>(table->num_rows()), file.rows);
      EXPECT_EQ(std::filesystem::file_size(file.path), file.bytes);
      for (std::string& row : RowsOf(*table)) rows.push_back(std::move(row));
    }
    return rows;
  }

  TempDir dir_;
  std::vector<std::string> paths_;
  MergeOptions options_;
  MergeSummary summary_;
};

std::shared_ptr<arrow::Schema> TwoColumns() {
  return arrow::schema(
      {arrow::field("ts", arrow::int64(), false), arrow::field("name", arrow::utf8())});
}

TEST_F(MergeTest, RefusesAnInputThatIsNotSortedAndNamesTheRow) {
  Dice dice(1);
  Add(*RandomTable(dice, TwoColumns(), 100, options_.keys));
  const std::string wrong = Add(*RandomTable(dice, TwoColumns(), 100, {}));
  const Error error = Failure();
  EXPECT_EQ(error.code, "UNSORTED");
  EXPECT_THAT(error.message, HasSubstr(wrong));
  EXPECT_THAT(error.message, HasSubstr("row "));
}

TEST_F(MergeTest, SortsWhatIsNotSortedIfAsked) {
  Dice dice(2);
  Tables tables;
  for (int i = 0; i < 4; ++i) {
    tables.push_back(RandomTable(dice,
                                 RandomSchema(dice)->num_fields() > 0 ? TwoColumns() : nullptr,
                                 3000, i == 1 ? options_.keys : std::vector<SortKey>{}));
    Add(*tables.back(), 700);
  }
  options_.unsorted = Unsorted::kSort;
  options_.memory_bytes_max = 200'000;  // pieces of some hundred rows
  EXPECT_TRUE(Merged() == SortedRows(tables, options_.keys));
  EXPECT_EQ(summary_.files_sorted, 3u);
}

TEST_F(MergeTest, MergesInPassesWhatIsTooMuchAtOnce) {
  Dice dice(3);
  Tables tables;
  for (int i = 0; i < 40; ++i) {
    auto builder = arrow::StringBuilder();
    for (int row = 0; row < 50; ++row) {
      ASSERT_TRUE(builder.Append(std::string(40'000, static_cast<char>('a' + row % 26))).ok());
    }
    auto keys = RandomTable(dice, TwoColumns(), 50, options_.keys);
    tables.push_back(*keys->SetColumn(1, arrow::field("name", arrow::utf8()),
                                      std::make_shared<arrow::ChunkedArray>(*builder.Finish())));
    Add(*tables.back());
  }
  options_.memory_bytes_max = 1;  // the least
  EXPECT_TRUE(Merged() == SortedRows(tables, options_.keys));
  EXPECT_GT(summary_.passes, 1u);
}

TEST_F(MergeTest, UnitesSchemasByName) {
  Dice dice(4);
  const auto narrow = arrow::schema({arrow::field("ts", arrow::int32(), false),
                                     arrow::field("n", arrow::int32(), false),
                                     arrow::field("f", arrow::float32())});
  const auto wide = arrow::schema(
      {arrow::field("late", arrow::utf8(), false), arrow::field("f", arrow::float64(), false),
       arrow::field("n", arrow::int64()), arrow::field("ts", arrow::int64(), false)});
  const auto one = RandomTable(dice, narrow, 300, options_.keys);
  const auto other = RandomTable(dice, wide, 300, options_.keys);
  Add(*one);
  Add(*other);
  const auto rows = Merged();
  const auto table = ReadTable(out());
  EXPECT_TRUE(table->schema()->Equals(
      *arrow::schema({arrow::field("ts", arrow::int64(), false), arrow::field("n", arrow::int64()),
                      arrow::field("f", arrow::float64()), arrow::field("late", arrow::utf8())})))
      << table->schema()->ToString();
  ASSERT_EQ(rows.size(), 600u);
  size_t without = 0;
  for (const std::string& row : rows) without += row.find("late=null") != std::string::npos;
  EXPECT_EQ(without, 300u);
}

TEST_F(MergeTest, WhatIsNoFileIsNotReplaced) {
  Dice dice(40);
  Add(*RandomTable(dice, TwoColumns(), 10, options_.keys));
  const std::string link = dir_.File("link.parquet");
  std::filesystem::create_symlink(paths_[0], link);
  for (const std::string& path : {dir_.File("out"), link}) {
    const auto merged = MergeFiles(paths_, path, options_);
    ASSERT_FALSE(merged.ok());
    EXPECT_EQ(merged.error().code, "NOT_A_FILE");
  }
  EXPECT_TRUE(std::filesystem::is_symlink(link));
}

TEST_F(MergeTest, FilesOfAnEarlierMergeAreNotMixedWithItsOwn) {
  Dice dice(41);
  Add(*RandomTable(dice, TwoColumns(), 100, options_.keys));
  options_.file_rows_max = options_.group_rows_max = 10;
  EXPECT_EQ(Merged().size(), 100u);
  options_.file_rows_max = 50;
  const auto again = [&] {
    const auto merged = MergeFiles(paths_, out(), options_);
    return merged.ok() ? "" : merged.error().code;
  };
  EXPECT_EQ(again(), "OUTPUT_EXISTS");
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(again(), "OUTPUT_EXISTS") << i;
    std::filesystem::remove(dir_.File("out/merged-0000" + std::to_string(i) + ".parquet"));
  }
  for (const char* other :
       {"out/merged-000.parquet", "out/merged-0000x.parquet", "out/merged.old"}) {
    std::ofstream(dir_.File(other)) << "another's";
  }
  EXPECT_EQ(again(), "");
}

TEST_F(MergeTest, TypesThatConflictAreAnErrorThatNamesBothFiles) {
  Dice dice(5);
  const std::string one = Add(*RandomTable(dice, TwoColumns(), 10, options_.keys));
  const auto schema = arrow::schema(
      {arrow::field("ts", arrow::int64(), false), arrow::field("name", arrow::float64())});
  const std::string other = Add(*RandomTable(dice, schema, 10, options_.keys));
  const Error error = Failure();
  EXPECT_EQ(error.code, "SCHEMA_CONFLICT");
  EXPECT_THAT(error.message, HasSubstr(one));
  EXPECT_THAT(error.message, HasSubstr(other));
}

TEST_F(MergeTest, NestedColumnsSurvive) {
  Dice dice(6);
  Tables tables;
  for (int i = 0; i < 3; ++i) {
    auto table = RandomTable(dice, TwoColumns(), 500, options_.keys);
    arrow::ListBuilder lists(arrow::default_memory_pool(), std::make_shared<arrow::Int64Builder>());
    auto& values = static_cast<arrow::Int64Builder&>(*lists.value_builder());
    for (int row = 0; row < 500; ++row) {
      ASSERT_TRUE((dice.OneIn(5) ? lists.AppendNull() : lists.Append()).ok());
      for (uint64_t n = dice.Below(4); n > 0; --n) ASSERT_TRUE(values.Append(row).ok());
    }
    const auto array = *lists.Finish();
    ASSERT_TRUE(array->ValidateFull().ok());
    tables.push_back(*table->AddColumn(2, arrow::field("l", array->type()),
                                       std::make_shared<arrow::ChunkedArray>(array)));
    tables.back() = ReadTable(Add(*tables.back(), 200));
  }
  EXPECT_TRUE(Merged() == SortedRows(tables, options_.keys));
  EXPECT_TRUE(summary_.by_rows);
}

std::shared_ptr<arrow::Table> WithList(const std::shared_ptr<arrow::Field>& item) {
  auto values = std::make_shared<arrow::Int32Builder>();
  arrow::ListBuilder lists(arrow::default_memory_pool(), values, arrow::list(item));
  arrow::Int64Builder ts;
  for (int row = 0; row < 5; ++row) {
    EXPECT_TRUE(ts.Append(row).ok() && lists.Append().ok() && values->Append(row).ok());
  }
  const auto column = *lists.Finish();
  return arrow::Table::Make(
      arrow::schema({arrow::field("ts", arrow::int64()), arrow::field("l", column->type())}),
      {*ts.Finish(), column});
}

TEST_F(MergeTest, ListsThatDifferInWhatMayBeNullAreMergedByRows) {
  Add(*WithList(arrow::field("item", arrow::int32(), false)));
  Add(*WithList(arrow::field("item", arrow::int32(), true)));
  EXPECT_EQ(Merged().size(), 10u);
  const auto table = ReadTable(out());
  ASSERT_TRUE(table->ValidateFull().ok());
  EXPECT_EQ(table->column(1)->GetScalar(9).ValueOrDie()->ToString(), "list<element: int32>[4]");
}

TEST_F(MergeTest, AGroupThatIsAnotherInTheOtherFileIsNamedWithItsType) {
  Add(*WithList(arrow::field("item", arrow::int32())));
  Dice dice(11);
  const auto schema =
      arrow::schema({arrow::field("ts", arrow::int64()),
                     arrow::field("l", arrow::struct_({arrow::field("x", arrow::int32())}))});
  arrow::Int64Builder ts;
  ASSERT_TRUE(ts.Append(1).ok());
  const auto group = *arrow::MakeArrayOfNull(schema->field(1)->type(), 1);
  Add(*arrow::Table::Make(schema, {*ts.Finish(), group}));
  EXPECT_THAT(Failure().message, HasSubstr("list<"));
}

TEST_F(MergeTest, FilesEndAtTheirBound) {
  Dice dice(7);
  Tables tables;
  for (int i = 0; i < 3; ++i) {
    tables.push_back(RandomTable(dice, TwoColumns(), 1000, options_.keys));
    Add(*tables.back());
  }
  options_.file_rows_max = 700;
  EXPECT_TRUE(Merged() == SortedRows(tables, options_.keys));
  ASSERT_EQ(summary_.files.size(), 5u);
  EXPECT_EQ(summary_.files[0].rows, 700u);
  EXPECT_THAT(summary_.files[1].path, HasSubstr("merged-00001.parquet"));
}

TEST_F(MergeTest, FilesAreAboutAsLargeAsIsWanted) {
  Dice dice(9);
  Tables tables;
  for (int i = 0; i < 4; ++i) {
    tables.push_back(RandomTable(dice, TwoColumns(), 30'000, options_.keys));
    Add(*tables.back());
  }
  for (const char* codec : {"none", "zstd"}) {
    options_.codec = *parquet::ParseCodec(codec);
    options_.file_bytes_max = 64 << 10;
    EXPECT_TRUE(Merged() == SortedRows(tables, options_.keys));
    ASSERT_GT(summary_.files.size(), 2u);
    for (size_t i = 0; i + 1 < summary_.files.size(); ++i) {
      EXPECT_NEAR(static_cast<double>(summary_.files[i].bytes), 64 << 10, 32 << 10) << codec;
    }
    for (const MergedFile& file : summary_.files) std::filesystem::remove(file.path);
  }
}

TEST_F(MergeTest, WhereOneFileCannotHaveItsNameNoneIsLeft) {
  Dice dice(8);
  Add(*RandomTable(dice, TwoColumns(), 1000, options_.keys));
  options_.file_rows_max = 300;
  const std::string third = dir_.File("out/merged-00002.parquet");
  for (const bool file : {true, false}) {
    options_.progress = [&](const MergeProgress&) {  // another's work, after the merge's first look
      if (file) std::ofstream(third) << "another's";
      if (!file) std::filesystem::create_directory(third);
    };
    const auto done = MergeFiles(paths_, out(), options_);
    ASSERT_FALSE(done.ok());
    EXPECT_THAT(done.error().message, HasSubstr("merged-00002.parquet"));
    if (file) {
      EXPECT_EQ(done.error().code, "OUTPUT_EXISTS");
      EXPECT_EQ(BytesOf(third), "another's");
    }
    EXPECT_TRUE(std::filesystem::remove(third));
    EXPECT_TRUE(std::filesystem::is_empty(dir_.File("out"))) << "something was left behind";
  }
}

// A file waits by the least key that its footer tells of.
TEST_F(MergeTest, StatisticsThatLieAreFoundOut) {
  for (const int64_t first : {int64_t{1}, int64_t{0x1122334455667788}}) {
    arrow::Int64Builder ts;
    for (int64_t row = 0; row < 1000; ++row) ASSERT_TRUE(ts.Append(first + row).ok());
    Add(*arrow::Table::Make(arrow::schema({arrow::field("ts", arrow::int64(), false)}),
                            {*ts.Finish()}));
  }
  std::string bytes = BytesOf(paths_[1]);
  const std::string min("\x88\x77\x66\x55\x44\x33\x22\x11");
  for (size_t at = bytes.size() / 2; (at = bytes.find(min, at)) != std::string::npos; ++at) {
    bytes[at] = '\x89';
  }
  std::ofstream(paths_[1], std::ios::binary) << bytes;
  const Error error = Failure();
  EXPECT_EQ(error.kind, ErrorKind::kCorrupt);
  EXPECT_THAT(error.message, HasSubstr(paths_[1]));
}

TEST_F(MergeTest, RowGroupsThatOverlapNoOtherAreCopied) {
  Tables tables;
  for (int64_t i = 2; i >= 0; --i) {
    arrow::Int64Builder ts;
    for (int64_t row = 0; row < 20'000; ++row) ASSERT_TRUE(ts.Append(i * 20'000 + row).ok());
    tables.push_back(arrow::Table::Make(arrow::schema({arrow::field("ts", arrow::int64(), false)}),
                                        {*ts.Finish()}));
    Add(*tables.back());
  }
  options_.codec = *parquet::ParseCodec("none");  // the inputs'
  EXPECT_TRUE(Merged() == SortedRows(tables, options_.keys));
  EXPECT_EQ(summary_.rows_copied, 60'000u);
}

TEST_F(MergeTest, BadFilesAreNamedAndNothingIsLeftBehind) {
  Dice dice(8);
  Add(*RandomTable(dice, TwoColumns(), 10, options_.keys));
  const std::string bad = dir_.File("bad.parquet");
  const std::string whole = BytesOf(paths_[0]);
  paths_.push_back(bad);
  for (const std::string& text :
       {std::string(), std::string("PAR1"), std::string("not a Parquet file at all"),
        whole.substr(0, whole.size() / 2), "PAR1" + std::string(20, '\xff') + "PAR1",
        whole.substr(0, whole.size() - 8) + std::string("\xff\xff\xff\x7fPAR1", 8)}) {
    std::ofstream(bad, std::ios::binary) << text;
    const Error error = Failure();
    EXPECT_EQ(error.kind, ErrorKind::kCorrupt) << error.message;
    EXPECT_THAT(error.message, HasSubstr(bad));
  }
  std::filesystem::remove(bad);
  EXPECT_EQ(Failure().kind, ErrorKind::kNotFound);
  ASSERT_EQ(::mkfifo(bad.c_str(), 0600), 0);  // nobody writes to it, ever
  EXPECT_THAT(Failure().message, HasSubstr(bad + ": is not a file"));
}

// Every byte of a file in turn: an error, or rows that can be read. In front of the footer it names
// the file; a footer that tells of another schema is no damage that can be seen.
TEST_F(MergeTest, ChangedBytesNeverPassAPagesChecksum) {
  Dice dice(9);
  const auto table = RandomTable(dice, TwoColumns(), 60, options_.keys);
  WriteRandomly(dice, dir_.File("seed.parquet"), *table);
  Add(*table);
  ASSERT_TRUE(MergeFiles(paths_, dir_.File("whole.parquet"), options_).ok());
  const std::string whole = BytesOf(dir_.File("whole.parquet"));
  const std::string bad = dir_.File("bad.parquet");
  paths_ = {bad};
  options_.copy = false;
  const size_t footer = whole.size() - 8 - GetLe<uint32_t>(whole.data() + whole.size() - 8);
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string text = whole;
    text[at] = static_cast<char>(text[at] ^ (1 << dice.Below(8)));
    std::ofstream(bad, std::ios::binary) << text;
    auto merged = MergeFiles(paths_, out(), options_);
    if (!merged.ok() && at < footer) {
      EXPECT_THAT(merged.error().message, HasSubstr(bad)) << "byte " << at;
    } else if (merged.ok() && merged->rows == 60) {
      EXPECT_EQ(ReadTable(out())->num_rows(), 60) << "byte " << at;
    }
  }
}

TEST_F(MergeTest, NoRowsAreAFileWithoutRows) {
  Dice dice(10);
  Add(*RandomTable(dice, TwoColumns(), 0, {}));
  EXPECT_TRUE(Merged().empty());
  EXPECT_TRUE(ReadTable(out())->schema()->Equals(*TwoColumns()));
}

}  // namespace
}  // namespace varve::merge
