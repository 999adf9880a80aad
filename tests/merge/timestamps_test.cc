// Whatever unit the inputs' times have, and however they are encoded: the output has one unit, and
// the rows that a sort of the converted times gives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <parquet/file_reader.h>
#include <parquet/statistics.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "merge/timestamp_tables.h"
#include "parquet/codec.h"
#include "temp_dir.h"

namespace varve::merge {
namespace {

namespace pq = ::parquet;
using ::testing::HasSubstr;
using Unit = arrow::TimeUnit;

constexpr Unit::type kUnits[] = {Unit::MILLI, Unit::MICRO, Unit::NANO};
constexpr TimeEncoding kEncodings[] = {TimeEncoding::kDictionary, TimeEncoding::kPlain,
                                       TimeEncoding::kDelta, TimeEncoding::kSplit};

class TimestampsTest : public ::testing::Test {
 protected:
  TimestampsTest() {
    options_.keys = {{"ts", false, false}};
    options_.codec = *parquet::ParseCodec("none");  // the inputs'
    options_.group_rows_max = 500;
    options_.page_rows_max = 70;
    options_.sync = false;
  }
  std::string out() const { return dir_.File("out/merged.parquet"); }
  void SetUp() override { std::filesystem::create_directory(dir_.File("out")); }

  void Add(TimeFile file) {
    paths_.push_back(dir_.File("in" + std::to_string(paths_.size()) + ".parquet"));
    WriteTimes(paths_.back(), file);
    files_.push_back(std::move(file));
  }
  void Clear() {
    paths_.clear();
    files_.clear();
  }
  static std::string Bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // With one thread and with four, the same bytes.
  void Merge() {
    options_.threads = 1;
    auto merged = MergeFiles(paths_, out(), options_);
    ASSERT_TRUE(merged.ok()) << merged.error().message;
    const std::string bytes = Bytes(out());
    options_.threads = 4;
    merged = MergeFiles(paths_, out(), options_);
    ASSERT_TRUE(merged.ok()) << merged.error().message;
    ASSERT_TRUE(Bytes(out()) == bytes);
    summary_ = *merged;
  }
  void ExpectMerged(Unit::type unit) {
    ASSERT_NO_FATAL_FAILURE(Merge());
    const bool descending = options_.keys[0].descending;
    ASSERT_EQ(ReadTimes(out(), unit), MergedTimes(files_, unit, descending));
  }
  Error Failure() {
    auto merged = MergeFiles(paths_, out(), options_);
    EXPECT_FALSE(merged.ok());
    EXPECT_TRUE(std::filesystem::is_empty(dir_.File("out"))) << "something was left behind";
    return merged.ok() ? Error{} : merged.error();
  }
  std::shared_ptr<pq::FileMetaData> Footer() const {
    return pq::ParquetFileReader::OpenFile(out())->metadata();
  }

  TempDir dir_;
  Dice dice_{7};
  std::vector<std::string> paths_;
  std::vector<TimeFile> files_;
  MergeOptions options_;
  MergeSummary summary_;
};

TEST_F(TimestampsTest, EveryUnitBecomesTheOneThatIsWanted) {
  for (const auto& [timestamps, to] :
       {std::pair(Timestamps::kMillis, Unit::MILLI), std::pair(Timestamps::kMicros, Unit::MICRO)}) {
    options_.timestamps = timestamps;
    for (const Unit::type from : kUnits) {
      for (const TimeEncoding encoding : kEncodings) {
        Clear();
        for (int i = 0; i < 3; ++i) {
          Add(RandomTimes(dice_, from, encoding, 400, i * 1000));
        }
        ASSERT_NO_FATAL_FAILURE(ExpectMerged(to));
      }
    }
  }
}

TEST_F(TimestampsTest, KeptUnitsThatDifferBecomeTheFinest) {
  for (const Unit::type one : kUnits) {
    for (const Unit::type other : kUnits) {
      Clear();
      for (int i = 0; i < 8; ++i) {
        Add(RandomTimes(dice_, i % 2 == 0 ? one : other, kEncodings[i / 2], 200, i * 1000));
      }
      ASSERT_NO_FATAL_FAILURE(ExpectMerged(std::max(one, other)));
      EXPECT_FALSE(summary_.by_rows);
    }
  }
}

TEST_F(TimestampsTest, MixedUnitsInterleaveAndTiesKeepTheInputsOrder) {
  options_.timestamps = Timestamps::kMillis;
  for (const bool descending : {false, true}) {
    options_.keys[0].descending = descending;
    Clear();
    for (int i = 0; i < 9; ++i) {
      TimeFile file = RandomTimes(dice_, kUnits[i % 3], kEncodings[i % 4], 300, i * 1000);
      if (descending) std::reverse(file.rows.begin(), file.rows.end());
      Add(std::move(file));
    }
    ASSERT_NO_FATAL_FAILURE(ExpectMerged(Unit::MILLI));
  }
}

// Their statistics are all that is read of files that wait.
TEST_F(TimestampsTest, FilesOneAfterTheOtherInTimeAreInThatOrder) {
  for (int i = 5; i >= 0; --i) {
    TimeFile file = RandomTimes(dice_, kUnits[i % 3], kEncodings[i % 4], 150, i * 1000);
    for (TimeRow& row : file.rows) row.ts += InUnit((i - 3) * 61, Unit::MILLI, file.unit);
    Add(std::move(file));
  }
  for (const auto& [timestamps, to] :
       {std::pair(Timestamps::kKeep, Unit::NANO), std::pair(Timestamps::kMillis, Unit::MILLI)}) {
    options_.timestamps = timestamps;
    ASSERT_NO_FATAL_FAILURE(ExpectMerged(to));
  }
}

TEST_F(TimestampsTest, UtcAndLocalTimesAreAConflictThatNamesBothFiles) {
  Add(RandomTimes(dice_, Unit::MILLI, TimeEncoding::kPlain, 10, 0));
  TimeFile local = RandomTimes(dice_, Unit::MICRO, TimeEncoding::kPlain, 10, 0);
  Add(local);
  local.unit = Unit::NANO;
  local.int96 = true;  // writes ts without a time zone
  Add(local);
  const Error int96 = Failure();
  EXPECT_EQ(int96.code, "SCHEMA_CONFLICT") << int96.message;
  paths_.pop_back();
  const auto table = ReadTable(paths_[1]);
  const auto naive =
      arrow::ChunkedArray::Make({*table->column(0)->chunk(0)->View(arrow::timestamp(Unit::MICRO))});
  WriteTable(paths_[1],
             *(*table->SetColumn(0, arrow::field("ts", (*naive)->type(), false), *naive)));
  for (const auto timestamps : {Timestamps::kKeep, Timestamps::kMicros}) {
    options_.timestamps = timestamps;
    const Error error = Failure();
    EXPECT_EQ(error.code, "SCHEMA_CONFLICT");
    EXPECT_THAT(error.message, HasSubstr(paths_[0]));
    EXPECT_THAT(error.message, HasSubstr(paths_[1]));
  }
}

TEST_F(TimestampsTest, ATimeThatDoesNotFitIsAnErrorThatNamesItsPlace) {
  for (const TimeEncoding encoding : kEncodings) {
    for (const bool in_key : {true, false}) {
      Clear();
      Add(RandomTimes(dice_, Unit::NANO, encoding, 150, 0));
      TimeFile file = RandomTimes(dice_, Unit::MILLI, encoding, 150, 1000);
      constexpr int64_t kTooMuch = 9'223'372'036'855;
      if (in_key) file.rows.back().ts = kTooMuch;
      if (!in_key) file.rows.back().at = -kTooMuch;
      Add(file);
      const Error error = Failure();
      EXPECT_EQ(error.kind, ErrorKind::kInvalid);
      EXPECT_EQ(error.code, "TIMESTAMP_RANGE");
      EXPECT_THAT(error.message,
                  HasSubstr(paths_[1] + ": row group 1, column " + (in_key ? "ts" : "at")));
      options_.timestamps = Timestamps::kMicros;
      ASSERT_NO_FATAL_FAILURE(ExpectMerged(Unit::MICRO));
      options_.timestamps = Timestamps::kKeep;
      std::filesystem::remove(out());
    }
  }
}

TEST_F(TimestampsTest, Int96BecomesATimestampOnlyIfAUnitIsWanted) {
  for (const TimeEncoding encoding : {TimeEncoding::kDictionary, TimeEncoding::kPlain}) {
    Clear();
    for (int i = 0; i < 3; ++i) {
      Add(RandomTimes(dice_, Unit::NANO, encoding, 300, i * 1000));
      files_.back().int96 = true;
      WriteTimes(paths_.back(), files_.back());
    }
    options_.timestamps = Timestamps::kKeep;
    ASSERT_NO_FATAL_FAILURE(ExpectMerged(Unit::NANO));
    EXPECT_EQ(Footer()->schema()->Column(0)->physical_type(), pq::Type::INT96);
    options_.timestamps = Timestamps::kMicros;
    ASSERT_NO_FATAL_FAILURE(ExpectMerged(Unit::MICRO));
    EXPECT_EQ(Footer()->schema()->Column(0)->physical_type(), pq::Type::INT64);
    options_.timestamps = Timestamps::kMillis;
    ASSERT_NO_FATAL_FAILURE(ExpectMerged(Unit::MILLI));
  }
}

TEST_F(TimestampsTest, Int96BesideATimestampIsAdjustedToUtcAsThatIs) {
  options_.timestamps = Timestamps::kMicros;
  for (int i = 0; i < 4; ++i) {
    Add(RandomTimes(dice_, i % 2 == 0 ? Unit::NANO : Unit::MICRO, TimeEncoding::kPlain, 200,
                    i * 1000));
    files_.back().int96 = i % 2 == 0;
    WriteTimes(paths_.back(), files_.back());
  }
  ASSERT_NO_FATAL_FAILURE(ExpectMerged(Unit::MICRO));
  const auto schema = ReadTable(out())->schema();
  EXPECT_EQ(schema->field(0)->type()->ToString(), "timestamp[us, tz=UTC]");
  EXPECT_EQ(schema->field(1)->type()->ToString(), "timestamp[us]");
}

TEST_F(TimestampsTest, AFileThatASecondKeySortedIsSortedAgainOrRefused) {
  TimeFile file = RandomTimes(dice_, Unit::MICRO, TimeEncoding::kPlain, 300, 0);
  std::reverse(file.rows.begin(), file.rows.end());
  std::stable_sort(file.rows.begin(), file.rows.end(),
                   [](const TimeRow& a, const TimeRow& b) { return a.ts < b.ts; });
  for (size_t i = 0; i < file.rows.size(); ++i) {
    file.rows[i].ts = -500 + static_cast<int64_t>(i);  // one of each: the second key has no say
  }
  Add(file);
  options_.keys.push_back({"id", false, false});
  ASSERT_NO_FATAL_FAILURE(ExpectMerged(Unit::MICRO));
  std::filesystem::remove(out());
  options_.timestamps = Timestamps::kMillis;
  EXPECT_EQ(Failure().code, "UNSORTED");
  options_.unsorted = Unsorted::kSort;
  ASSERT_NO_FATAL_FAILURE(Merge());
  auto expected = MergedTimes(files_, Unit::MILLI);
  std::sort(expected.begin(), expected.end(), [](const TimeRow& a, const TimeRow& b) {
    return std::tie(a.ts, a.id) < std::tie(b.ts, b.id);
  });
  EXPECT_EQ(ReadTimes(out(), Unit::MILLI), expected);
  EXPECT_EQ(summary_.files_sorted, 1u);
}

TEST_F(TimestampsTest, FilesThatAreSortedFirstHaveTheUnitThen) {
  for (int i = 0; i < 3; ++i) {
    TimeFile file = RandomTimes(dice_, kUnits[2 - i], TimeEncoding::kPlain, 250, i * 1000);
    file.int96 = i == 0;
    std::reverse(file.rows.begin(), file.rows.end());
    if (i == 1) std::reverse(file.rows.begin(), file.rows.end());
    Add(std::move(file));
  }
  options_.unsorted = Unsorted::kSort;
  options_.timestamps = Timestamps::kMillis;
  ASSERT_NO_FATAL_FAILURE(ExpectMerged(Unit::MILLI));
  EXPECT_EQ(summary_.files_sorted, 2u);
}

TEST_F(TimestampsTest, PassesGiveTheSameAsOneMerge) {
  for (int i = 0; i < 400; ++i) {
    Add(RandomTimes(dice_, kUnits[i % 3], TimeEncoding::kPlain, 20, i * 100));
    files_.back().int96 = i % 3 == 2;
    if (i % 3 == 2) WriteTimes(paths_.back(), files_.back());
  }
  options_.timestamps = Timestamps::kMicros;
  options_.memory_bytes_max = 1;  // the least
  options_.open_files_max = 20;
  ASSERT_NO_FATAL_FAILURE(ExpectMerged(Unit::MICRO));
  EXPECT_GT(summary_.passes, 1u);
}

TEST_F(TimestampsTest, RowGroupsAreCopiedOnlyIfTheirUnitIsTheOutputs) {
  options_.group_rows_max = 2000;
  for (int i = 0; i < 2; ++i) {
    TimeFile file = RandomTimes(dice_, i == 0 ? Unit::MILLI : Unit::MICRO, TimeEncoding::kPlain,
                                1000, i * 1000);
    for (TimeRow& row : file.rows) row.ts += InUnit(i * 1000, Unit::MILLI, file.unit);
    file.group_rows = 1000;
    Add(std::move(file));
  }
  ASSERT_NO_FATAL_FAILURE(ExpectMerged(Unit::MICRO));
  EXPECT_EQ(summary_.rows_copied, 1000u);
  options_.timestamps = Timestamps::kMillis;
  ASSERT_NO_FATAL_FAILURE(ExpectMerged(Unit::MILLI));
  EXPECT_EQ(summary_.rows_copied, 1000u);
  paths_.pop_back();
  files_.pop_back();
  options_.timestamps = Timestamps::kMicros;
  ASSERT_NO_FATAL_FAILURE(ExpectMerged(Unit::MICRO));
  EXPECT_EQ(summary_.rows_copied, 0u);
}

TEST_F(TimestampsTest, StatisticsAreOfTheConvertedTimes) {
  options_.timestamps = Timestamps::kMillis;
  for (int i = 0; i < 3; ++i) Add(RandomTimes(dice_, kUnits[i], kEncodings[i], 400, i * 1000));
  ASSERT_NO_FATAL_FAILURE(ExpectMerged(Unit::MILLI));
  const auto rows = ReadTimes(out(), Unit::MILLI);
  const auto footer = Footer();
  size_t row = 0;
  for (int group = 0; group < footer->num_row_groups(); ++group) {
    const auto chunk = footer->RowGroup(group)->ColumnChunk(0);
    const auto stats = std::static_pointer_cast<pq::Int64Statistics>(chunk->statistics());
    ASSERT_TRUE(stats->HasMinMax());
    EXPECT_EQ(stats->min(), rows[row].ts);
    row += static_cast<size_t>(footer->RowGroup(group)->num_rows());
    EXPECT_EQ(stats->max(), rows[row - 1].ts);
  }
  EXPECT_EQ(row, rows.size());
}

TEST_F(TimestampsTest, ArrowsSchemaTellsOfTheOutputsTypes) {
  for (int i = 0; i < 2; ++i) {
    TimeFile file = RandomTimes(dice_, Unit::MICRO, TimeEncoding::kPlain, 100, i * 1000);
    file.arrow_schema = true;
    Add(std::move(file));
  }
  auto has_schema = [&] {
    const auto footer = Footer();
    const auto& pairs = footer->key_value_metadata();
    return pairs != nullptr && pairs->Contains("ARROW:schema");
  };
  for (const auto timestamps : {Timestamps::kKeep, Timestamps::kMicros, Timestamps::kMillis}) {
    options_.timestamps = timestamps;
    const auto unit = timestamps == Timestamps::kMillis ? Unit::MILLI : Unit::MICRO;
    ASSERT_NO_FATAL_FAILURE(ExpectMerged(unit));
    EXPECT_TRUE(has_schema());
    const auto type = ReadTable(out())->GetColumnByName("ts")->type();
    EXPECT_EQ(static_cast<const arrow::TimestampType&>(*type).unit(), unit);
  }
}

}  // namespace
}  // namespace varve::merge
