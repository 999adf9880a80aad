// Times within lists and groups, where Arrow moves the rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "merge/timestamp_tables.h"
#include "parquet/codec.h"
#include "temp_dir.h"

namespace varve::merge {
namespace {

using ::testing::HasSubstr;
using Unit = arrow::TimeUnit;

// ts, and a list of groups {t} that holds its value, null, and its value.
std::shared_ptr<arrow::Table> NestedTimes(Unit::type unit, const std::vector<int64_t>& times) {
  const auto type = arrow::timestamp(unit, "UTC");
  arrow::TimestampBuilder ts(type, arrow::default_memory_pool());
  const auto group = arrow::struct_({arrow::field("t", type)});
  auto built = *arrow::MakeBuilder(arrow::list(arrow::field("element", group)));
  auto& lists = static_cast<arrow::ListBuilder&>(*built);
  auto& groups = static_cast<arrow::StructBuilder&>(*lists.value_builder());
  auto& values = static_cast<arrow::TimestampBuilder&>(*groups.field_builder(0));
  for (const int64_t time : times) {
    EXPECT_TRUE(ts.Append(time).ok() && lists.Append().ok());
    EXPECT_TRUE(groups.Append().ok() && values.Append(time).ok());
    EXPECT_TRUE(groups.Append().ok() && values.AppendNull().ok());
    EXPECT_TRUE(groups.Append().ok() && values.Append(time).ok());
  }
  const auto column = *lists.Finish();
  return arrow::Table::Make(
      arrow::schema({arrow::field("ts", type), arrow::field("l", column->type())}),
      {*ts.Finish(), column});
}

class NestedTimestampsTest : public ::testing::Test {
 protected:
  NestedTimestampsTest() {
    options_.keys = {{"ts", false, false}};
    options_.codec = *parquet::ParseCodec("lz4");
    options_.threads = 2;
    options_.sync = false;
  }
  void Add(Unit::type unit, const std::vector<int64_t>& times) {
    paths_.push_back(dir_.File("in" + std::to_string(paths_.size()) + ".parquet"));
    WriteTable(paths_.back(), *NestedTimes(unit, times), 3);
  }

  TempDir dir_;
  std::vector<std::string> paths_;
  MergeOptions options_;
};

TEST_F(NestedTimestampsTest, TimesInListsAreConvertedTooAndRoundedDown) {
  Add(Unit::MICRO, {-1001, -1000, -999, -1, 0, 1, 999, 1000});
  Add(Unit::NANO, {-1'500'000, -1, 0, 2'500'000});
  Add(Unit::MILLI, {-2, 0, 3});
  const std::vector<int64_t> millis = {-2, -2, -2, -1, -1, -1, -1, 0, 0, 0, 0, 0, 1, 2, 3};
  options_.timestamps = Timestamps::kMillis;
  const auto merged = MergeFiles(paths_, dir_.File("out.parquet"), options_);
  ASSERT_TRUE(merged.ok()) << merged.error().message;
  EXPECT_TRUE(merged->by_rows);
  const auto read = ReadTable(dir_.File("out.parquet"));
  EXPECT_EQ(RowsOf(*read), RowsOf(*NestedTimes(Unit::MILLI, millis)));
}

TEST_F(NestedTimestampsTest, KeptUnitsThatDifferBecomeTheFinest) {
  Add(Unit::MILLI, {-2, 0, 3});
  Add(Unit::MICRO, {-1500, 0, 2999});
  const auto merged = MergeFiles(paths_, dir_.File("out.parquet"), options_);
  ASSERT_TRUE(merged.ok()) << merged.error().message;
  const auto read = ReadTable(dir_.File("out.parquet"));
  EXPECT_EQ(RowsOf(*read), RowsOf(*NestedTimes(Unit::MICRO, {-2000, -1500, 0, 0, 2999, 3000})));
}

TEST_F(NestedTimestampsTest, ATimeThatDoesNotFitIsAnErrorThatNamesItsPlace) {
  Add(Unit::NANO, {1});
  Add(Unit::MILLI, {0, 1, 2, 3});
  auto table = ReadTable(paths_[1]);
  const auto large = NestedTimes(Unit::MILLI, {0, 1, 2, 9'223'372'036'855});
  table = *table->SetColumn(1, large->field(1), large->column(1));
  WriteTable(paths_[1], *table, 3);
  const auto merged = MergeFiles(paths_, dir_.File("out.parquet"), options_);
  ASSERT_FALSE(merged.ok());
  EXPECT_EQ(merged.error().code, "TIMESTAMP_RANGE");
  EXPECT_THAT(merged.error().message, HasSubstr(paths_[1] + ": row group 1, column l"));
}

}  // namespace
}  // namespace varve::merge
