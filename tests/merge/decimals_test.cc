// Decimals that files store in different forms: they are one type, also as a key.
#include <arrow/api.h>
#include <arrow/io/file.h>
#include <gtest/gtest.h>
#include <parquet/arrow/writer.h>

#include <string>

#include "merge/random_tables.h"
#include "temp_dir.h"

namespace varve::merge {
namespace {

std::shared_ptr<arrow::Table> DecimalTable(Dice& dice, int64_t rows, int precision) {
  const auto type = arrow::decimal128(precision, 2);
  std::vector<int64_t> sorted;
  for (int64_t i = 0; i < rows; ++i) {
    sorted.push_back(static_cast<int64_t>(dice.Below(200'000)) - 100'000);
  }
  std::sort(sorted.begin(), sorted.end());
  arrow::Decimal128Builder keys(type), values(type);
  for (const int64_t key : sorted) {
    EXPECT_TRUE(keys.Append(arrow::Decimal128(key)).ok());
    const auto value = static_cast<int64_t>(dice.Below(1'000'000)) - 500'000;
    EXPECT_TRUE((dice.OneIn(5) ? values.AppendNull() : values.Append(value)).ok());
  }
  return arrow::Table::Make(
      arrow::schema({arrow::field("k", type, false), arrow::field("v", type)}),
      {*keys.Finish(), *values.Finish()});
}

void WriteDecimals(const std::string& path, const arrow::Table& table, bool as_integers) {
  ::parquet::WriterProperties::Builder properties;
  if (as_integers) properties.enable_store_decimal_as_integer();
  const auto file = *arrow::io::FileOutputStream::Open(path);
  ASSERT_TRUE(::parquet::arrow::WriteTable(table, arrow::default_memory_pool(), file, 300,
                                           properties.build())
                  .ok());
  ASSERT_TRUE(file->Close().ok());
}

class DecimalsTest : public ::testing::TestWithParam<int> {};

TEST_P(DecimalsTest, FormsThatDifferBecomeTheWidest) {
  const TempDir dir;
  Dice dice(static_cast<uint64_t>(GetParam()));
  MergeOptions options;
  options.keys = {{"k", false, false}};
  options.sync = false;
  std::vector<std::string> paths;
  std::vector<std::shared_ptr<arrow::Table>> tables;
  for (const bool as_integers : {true, false, true, false}) {
    tables.push_back(DecimalTable(dice, 1000, GetParam()));
    paths.push_back(dir.File(std::to_string(paths.size()) + ".parquet"));
    WriteDecimals(paths.back(), *tables.back(), as_integers);
  }
  const std::string out = dir.File("out.parquet");
  const auto merged = MergeFiles(paths, out, options);
  ASSERT_TRUE(merged.ok()) << merged.error().message;
  EXPECT_FALSE(merged->by_rows);
  EXPECT_TRUE(RowsOf(*ReadTable(out)) == SortedRows(tables, options.keys));
}

// As integers: 4 bytes up to a precision of 9, 8 up to 18; as bytes: 4, 5 and 8.
INSTANTIATE_TEST_SUITE_P(Precisions, DecimalsTest, ::testing::Values(9, 10, 18));

}  // namespace
}  // namespace varve::merge
