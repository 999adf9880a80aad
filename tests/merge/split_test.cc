// Output files by hours and days.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "merge/random_tables.h"
#include "parquet/codec.h"
#include "temp_dir.h"

namespace varve::merge {
namespace {

constexpr int64_t kHourUs = 3'600'000'000, kDayUs = 24 * kHourUs;

struct Row {
  std::optional<int64_t> ts;
  int64_t id = 0;
  bool operator==(const Row&) const = default;
};

int64_t UnitsOf(arrow::TimeUnit::type unit, int64_t micros) {
  if (unit == arrow::TimeUnit::MILLI) return micros / 1000;
  return unit == arrow::TimeUnit::MICRO ? micros : micros * 1000;
}

std::shared_ptr<arrow::Table> TableOf(const std::vector<Row>& rows,
                                      const std::shared_ptr<arrow::DataType>& type, bool nested) {
  auto times = *arrow::MakeBuilder(type);
  arrow::Int64Builder ids;
  arrow::ListBuilder lists(arrow::default_memory_pool(), std::make_shared<arrow::Int64Builder>());
  for (const Row& row : rows) {
    if (!row.ts) {
      EXPECT_TRUE(times->AppendNull().ok());
    } else if (type->id() == arrow::Type::DATE32) {
      const auto scalar = *arrow::MakeScalar(type, static_cast<int32_t>(*row.ts));
      EXPECT_TRUE(times->AppendScalar(*scalar).ok());
    } else {
      EXPECT_TRUE(times->AppendScalar(*arrow::MakeScalar(type, *row.ts).ValueOrDie()).ok());
    }
    EXPECT_TRUE(ids.Append(row.id).ok());
    EXPECT_TRUE(lists.Append().ok());
  }
  std::vector<std::shared_ptr<arrow::Field>> fields = {arrow::field("ts", type),
                                                       arrow::field("id", arrow::int64())};
  std::vector<std::shared_ptr<arrow::Array>> columns = {*times->Finish(), *ids.Finish()};
  if (nested) {
    fields.push_back(arrow::field("list", arrow::list(arrow::int64())));
    columns.push_back(*lists.Finish());
  }
  return arrow::Table::Make(arrow::schema(fields), columns);
}

std::vector<Row> RowsIn(const std::string& path) {
  std::vector<Row> rows;
  const auto table = *ReadTable(path)->CombineChunks();
  for (int64_t i = 0; i < table->num_rows(); ++i) {
    const auto ts = *table->column(0)->GetScalar(i);
    Row row;
    if (ts->is_valid) row.ts = std::stoll((*ts->CastTo(arrow::int64()))->ToString());
    row.id = std::stoll((*table->column(1)->GetScalar(i))->ToString());
    rows.push_back(row);
  }
  return rows;
}

bool Less(const Row& a, const Row& b, const SortKey& key) {
  if (a.ts.has_value() != b.ts.has_value()) return a.ts.has_value() != key.nulls_first;
  if (!a.ts) return false;
  return key.descending ? *a.ts > *b.ts : *a.ts < *b.ts;
}

std::optional<int64_t> PeriodOf(const Row& row, int64_t length) {
  if (!row.ts) return std::nullopt;
  const int64_t over = *row.ts % length;
  return (*row.ts - over) / length - (over < 0 ? 1 : 0);
}

struct Case {
  std::shared_ptr<arrow::DataType> type;
  int64_t split_us = 0, length = 0;  // in the type's unit
  int64_t spread = 0;
};

class SplitTest : public ::testing::Test {
 protected:
  SplitTest() {
    options_.codec = *parquet::ParseCodec("lz4");
    options_.threads = 2;
    options_.sync = false;
  }

  // Files in order, no row lost, and each with one period that its neighbours do not have.
  void Check(const std::vector<Row>& rows, int64_t length) {
    const auto merged = MergeFiles(paths_, dir_.File("out.parquet"), options_);
    ASSERT_TRUE(merged.ok()) << merged.error().message;
    std::vector<Row> seen;
    std::optional<std::optional<int64_t>> last;
    for (const MergedFile& file : merged->files) {
      const std::vector<Row> some = RowsIn(file.path);
      ASSERT_FALSE(some.empty());
      const auto period = PeriodOf(some.front(), length);
      EXPECT_TRUE(!last || *last != period) << file.path;
      last = period;
      for (const Row& row : some) EXPECT_TRUE(PeriodOf(row, length) == period) << file.path;
      seen.insert(seen.end(), some.begin(), some.end());
    }
    EXPECT_TRUE(seen == rows);
    for (const MergedFile& file : merged->files) std::filesystem::remove(file.path);
  }

  TempDir dir_;
  std::vector<std::string> paths_;
  MergeOptions options_;
};

TEST_F(SplitTest, EachFileHasOnePeriodWhateverTheKey) {
  Dice dice(11);
  const std::vector<Case> cases = {
      {arrow::timestamp(arrow::TimeUnit::MILLI, "UTC"), kHourUs, 3'600'000, 20'000'000},
      {arrow::timestamp(arrow::TimeUnit::MICRO), kDayUs, kDayUs, 5 * kDayUs},
      {arrow::timestamp(arrow::TimeUnit::NANO, "UTC"), kHourUs, kHourUs * 1000, kHourUs * 9000},
      {arrow::date32(), kDayUs, 1, 6},
  };
  for (int round = 0; round < 48; ++round) {
    const Case& which = cases[dice.Below(cases.size())];
    SortKey key{"ts", dice.OneIn(2), dice.OneIn(2)};
    const bool nulls = dice.OneIn(2), by_two = dice.OneIn(3), nested = dice.OneIn(4);
    const bool apart = dice.OneIn(3);  // files whose ranges do not overlap: row groups are copied
    paths_.clear();
    std::vector<Row> all;
    int64_t id = 0;
    for (uint64_t file = 0; file < 1 + dice.Below(4); ++file) {
      std::vector<Row> rows;
      const auto count = apart ? 40'000 : 1 + dice.Below(3000);
      for (uint64_t i = 0; i < count; ++i) {
        const auto spread = static_cast<uint64_t>(which.spread);
        int64_t ts = static_cast<int64_t>(dice.Below(spread)) - which.spread / 2;
        if (apart) ts = ts / 8 + static_cast<int64_t>(file) * which.spread;
        rows.push_back({ts, id++});
        if (nulls && dice.OneIn(20)) rows.back().ts.reset();
      }
      std::stable_sort(rows.begin(), rows.end(),
                       [&](const Row& a, const Row& b) { return Less(a, b, key); });
      paths_.push_back(dir_.File(std::to_string(file) + ".parquet"));
      WriteTable(paths_.back(), *TableOf(rows, which.type, nested));
      all.insert(all.end(), rows.begin(), rows.end());
    }
    std::stable_sort(all.begin(), all.end(),
                     [&](const Row& a, const Row& b) { return Less(a, b, key); });
    options_.keys = {key};
    // Ids follow the files' order, so that a second key changes nothing but the keys' form.
    if (by_two) {
      for (size_t i = 0; i < all.size();) {
        size_t end = i + 1;
        while (end < all.size() && all[end].ts == all[i].ts) ++end;
        std::sort(all.begin() + static_cast<ptrdiff_t>(i),
                  all.begin() + static_cast<ptrdiff_t>(end),
                  [](const Row& a, const Row& b) { return a.id < b.id; });
        i = end;
      }
      options_.keys.push_back({"id", false, false});
    }
    options_.unsorted = Unsorted::kSort;
    options_.split_us = which.split_us;
    SCOPED_TRACE(::testing::Message() << "round " << round << " " << which.type->ToString());
    Check(all, which.length);
  }
}

TEST_F(SplitTest, TheEndsOfTime) {
  const auto type = arrow::timestamp(arrow::TimeUnit::MICRO, "UTC");
  const std::vector<Row> rows = {{INT64_MIN, 0}, {INT64_MIN + 1, 1}, {-1, 2},
                                 {0, 3},         {INT64_MAX, 4},     {std::nullopt, 5}};
  for (const bool descending : {false, true}) {
    std::vector<Row> sorted = rows;
    if (descending) std::reverse(sorted.begin(), sorted.end() - 1);
    paths_ = {dir_.File("in.parquet")};
    WriteTable(paths_[0], *TableOf(sorted, type, false));
    options_.keys = {{"ts", descending, false}};
    options_.split_us = kDayUs;
    Check(sorted, UnitsOf(arrow::TimeUnit::MICRO, kDayUs));
  }
}

TEST_F(SplitTest, WhatHasNoPeriodsIsRefused) {
  Dice dice(12);
  const auto schema = arrow::schema({arrow::field("ts", arrow::int64(), false)});
  options_.keys = {{"ts", false, false}};
  paths_ = {dir_.File("in.parquet")};
  WriteTable(paths_[0], *RandomTable(dice, schema, 10, options_.keys));
  options_.split_us = kHourUs;
  const auto refused = MergeFiles(paths_, dir_.File("out.parquet"), options_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "SPLIT_TYPE");
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("column ts"));
}

TEST_F(SplitTest, MoreFilesThanAllowedAreNone) {
  std::vector<Row> rows;
  for (int64_t i = 0; i < 20; ++i) rows.push_back({i * kHourUs, i});
  paths_ = {dir_.File("in.parquet")};
  WriteTable(paths_[0], *TableOf(rows, arrow::timestamp(arrow::TimeUnit::MICRO), false));
  options_.keys = {{"ts", false, false}};
  options_.split_us = kHourUs;
  options_.files_max = 10;
  const auto refused = MergeFiles(paths_, dir_.File("out.parquet"), options_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "TOO_MANY_FILES");
  EXPECT_FALSE(std::filesystem::exists(dir_.File("out-00000.parquet")));
}

}  // namespace
}  // namespace varve::merge
