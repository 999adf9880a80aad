// Files as Arrow does not write them: INT96 far from our time, and the annotation of old.
#include <arrow/io/file.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <parquet/column_writer.h>
#include <parquet/file_writer.h>

#include "merge/timestamp_tables.h"
#include "parquet/codec.h"
#include "temp_dir.h"

namespace varve::merge {
namespace {

namespace pq = ::parquet;
using pq::schema::PrimitiveNode;
using ::testing::HasSubstr;

constexpr uint32_t kEpochDay = 2'440'588;

class OldTimestampsTest : public ::testing::Test {
 protected:
  OldTimestampsTest() {
    options_.keys = {{"ts", false, false}};
    options_.codec = *parquet::ParseCodec("lz4");
    options_.timestamps = Timestamps::kMicros;
    options_.threads = 2;
    options_.sync = false;
  }
  // Columns ts, milliseconds that only ConvertedType tells of, and old, INT96 at that day.
  void Add(const std::vector<int64_t>& times, uint32_t day) {
    paths_.push_back(dir_.File("in" + std::to_string(paths_.size()) + ".parquet"));
    const auto required = pq::Repetition::REQUIRED;
    const auto schema = std::static_pointer_cast<pq::schema::GroupNode>(pq::schema::GroupNode::Make(
        "schema", required,
        {PrimitiveNode::Make("ts", required, pq::Type::INT64, pq::ConvertedType::TIMESTAMP_MILLIS),
         PrimitiveNode::Make("old", required, pq::Type::INT96)}));
    const auto out = *arrow::io::FileOutputStream::Open(paths_.back());
    const auto file = pq::ParquetFileWriter::Open(out, schema);
    auto* group = file->AppendRowGroup();
    const auto count = static_cast<int64_t>(times.size());
    static_cast<pq::Int64Writer*>(group->NextColumn())
        ->WriteBatch(count, nullptr, nullptr, times.data());
    const std::vector<pq::Int96> old(times.size(), pq::Int96{{1999, 0, day}});
    static_cast<pq::Int96Writer*>(group->NextColumn())
        ->WriteBatch(count, nullptr, nullptr, old.data());
    file->Close();
    ASSERT_TRUE(out->Close().ok());
  }
  Result<MergeSummary> Merged() { return MergeFiles(paths_, dir_.File("out.parquet"), options_); }
  std::vector<std::string> Times() const {
    const auto table = ReadTable(dir_.File("out.parquet"));
    EXPECT_EQ(table->field(0)->type()->ToString(), "timestamp[us, tz=UTC]");
    EXPECT_EQ(table->field(1)->type()->ToString(), "timestamp[us]");
    return RowsOf(*table);
  }

  TempDir dir_;
  std::vector<std::string> paths_;
  MergeOptions options_;
};

TEST_F(OldTimestampsTest, TheOldAnnotationIsOfTimesThatAreAdjustedToUtc) {
  Add({1, 3}, kEpochDay);
  Add({2, 0}, kEpochDay + 1);
  options_.unsorted = Unsorted::kSort;
  const auto merged = Merged();
  ASSERT_TRUE(merged.ok()) << merged.error().message;
  EXPECT_EQ(merged->files_sorted, 1u);
  const std::string day = "|old=1970-01-01 00:00:00.000001|";
  const std::string next_day = "|old=1970-01-02 00:00:00.000001|";
  EXPECT_EQ(Times(), (std::vector<std::string>{"ts=1970-01-01 00:00:00.000000Z" + next_day,
                                               "ts=1970-01-01 00:00:00.001000Z" + day,
                                               "ts=1970-01-01 00:00:00.002000Z" + next_day,
                                               "ts=1970-01-01 00:00:00.003000Z" + day}));
}

TEST_F(OldTimestampsTest, AnInt96ThatDoesNotFitIsAnErrorHoweverItIsRead) {
  for (const std::vector<int64_t>& times : {std::vector<int64_t>{1, 2}, {2, 1}}) {
    paths_.clear();
    Add(times, 0x7fff'ffff);
    options_.unsorted = Unsorted::kSort;  // by Arrow's reader, the second time
    options_.timestamps = Timestamps::kMicros;
    const auto merged = Merged();
    ASSERT_FALSE(merged.ok());
    EXPECT_EQ(merged.error().code, "TIMESTAMP_RANGE");
    EXPECT_EQ(merged.error().kind, ErrorKind::kInvalid);
    EXPECT_THAT(merged.error().message, HasSubstr(paths_[0] + ": row group 0, column old"));
    options_.timestamps = Timestamps::kMillis;
    EXPECT_TRUE(Merged().ok());
  }
}

}  // namespace
}  // namespace varve::merge
