// Whatever the schemas, encodings, page sizes, nulls and duplicates: the merge has the rows of the
// inputs, in the order of a stable sort.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "merge/random_tables.h"
#include "parquet/codec.h"
#include "temp_dir.h"

namespace varve::merge {
namespace {

MergeOptions RandomOptions(Dice& dice, const std::vector<SortKey>& keys) {
  MergeOptions options;
  options.keys = keys;
  const char* codecs[] = {"none", "snappy", "lz4", "zstd:3", "gzip", "brotli"};
  options.codec = *parquet::ParseCodec(codecs[dice.Below(6)]);
  options.threads = 1 + static_cast<uint32_t>(dice.Below(3));
  options.group_rows_max = static_cast<uint32_t>(1 + dice.Below(2000));
  options.page_bytes = static_cast<uint32_t>(1 + dice.Below(3000));
  options.page_rows_max = static_cast<uint32_t>(1 + dice.Below(300));
  options.dictionary_bytes_max = dice.OneIn(4) ? 0 : static_cast<uint32_t>(dice.Below(3000));
  options.copy = dice.OneIn(2);
  options.open_files_max = static_cast<uint32_t>(1 + dice.Below(3));
  options.sync = false;
  return options;
}

void MergesAsASortDoes(uint64_t seed) {
  Dice dice(seed);
  const TempDir dir;
  const auto schema = RandomSchema(dice);
  std::vector<SortKey> keys = {{"ts", dice.OneIn(3), dice.OneIn(2)}};
  const auto last = schema->field(schema->num_fields() - 1);
  const auto id = last->type()->id();
  if (schema->num_fields() > 1 && dice.OneIn(3) &&
      (id == arrow::Type::INT64 || id == arrow::Type::STRING || id == arrow::Type::BINARY)) {
    keys.push_back({last->name(), dice.OneIn(2), dice.OneIn(2)});
  }
  std::vector<std::shared_ptr<arrow::Table>> tables;
  std::vector<std::string> paths;
  for (uint64_t i = 1 + dice.Below(6); i > 0; --i) {
    tables.push_back(RandomTable(dice, schema, static_cast<int64_t>(dice.Below(500)), keys));
    paths.push_back(dir.File("in" + std::to_string(i) + ".parquet"));
    WriteRandomly(dice, paths.back(), *tables.back());
  }
  MergeOptions options = RandomOptions(dice, keys);
  const auto merged = MergeFiles(paths, dir.File("out.parquet"), options);
  ASSERT_TRUE(merged.ok()) << merged.error().message << " seed " << seed;
  const auto out = ReadTable(dir.File("out.parquet"));
  ASSERT_TRUE(out->ValidateFull().ok());
  ASSERT_EQ(RowsOf(*out), SortedRows(tables, keys)) << "seed " << seed;
  ASSERT_TRUE(out->schema()->Equals(*schema)) << out->schema()->ToString();

  options.threads = options.threads % 3 + 1;
  ASSERT_TRUE(MergeFiles(paths, dir.File("again.parquet"), options).ok());
  ASSERT_EQ(BytesOf(dir.File("out.parquet")), BytesOf(dir.File("again.parquet")))
      << "seed " << seed;
}

TEST(MergePropertyTest, MergesAsAStableSortDoes) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    MergesAsASortDoes(seed);
    RC_ASSERT(!::testing::Test::HasFatalFailure());
  }));
}

}  // namespace
}  // namespace varve::merge
