// Field ids go over to the output, are those of a table, or are left out.
#include <arrow/io/file.h>
#include <gtest/gtest.h>
#include <parquet/arrow/writer.h>
#include <parquet/file_reader.h>
#include <parquet/schema.h>

#include <functional>

#include "merge/random_tables.h"
#include "parquet/codec.h"
#include "temp_dir.h"

namespace varve::merge {
namespace {

std::shared_ptr<arrow::Field> WithId(const std::shared_ptr<arrow::Field>& field, int id) {
  return field->WithMetadata(arrow::key_value_metadata({{"PARQUET:field_id", std::to_string(id)}}));
}

// Of the columns, in their order; those of a list's parts behind it.
std::vector<int> IdsIn(const std::string& path) {
  std::vector<int> ids;
  const auto reader = ::parquet::ParquetFileReader::OpenFile(path);
  const std::function<void(const ::parquet::schema::Node&)> add = [&](const auto& node) {
    ids.push_back(node.field_id());
    if (!node.is_group()) return;
    const auto& group = static_cast<const ::parquet::schema::GroupNode&>(node);
    for (int i = 0; i < group.field_count(); ++i) add(*group.field(i));
  };
  const auto* root = reader->metadata()->schema()->group_node();
  for (int i = 0; i < root->field_count(); ++i) add(*root->field(i));
  return ids;
}

std::vector<int> MergedIds(const std::shared_ptr<arrow::Schema>& schema, bool keep) {
  const TempDir dir;
  Dice dice(7);
  MergeOptions options;
  options.keys = {{"ts", false, false}};
  options.codec = *parquet::ParseCodec("lz4");
  options.sync = false;
  options.field_ids = keep;
  std::vector<std::string> inputs;
  for (int i = 0; i < 2; ++i) {
    const auto table = RandomTable(dice, schema, 50, options.keys);
    inputs.push_back(dir.File("in" + std::to_string(i) + ".parquet"));
    WriteTable(inputs.back(), *arrow::Table::Make(schema, table->columns()));
  }
  const auto merged = MergeFiles(inputs, dir.File("out.parquet"), options);
  EXPECT_TRUE(merged.ok()) << merged.error().message;
  return merged.ok() ? IdsIn(dir.File("out.parquet")) : std::vector<int>();
}

TEST(FieldIds, OfTheInputsAreTheOutputsUnlessItShallHaveNone) {
  const auto schema = arrow::schema({WithId(arrow::field("ts", arrow::int64(), false), 7),
                                     WithId(arrow::field("name", arrow::utf8()), 3)});
  EXPECT_EQ(MergedIds(schema, true), (std::vector<int>{7, 3}));
  EXPECT_EQ(MergedIds(schema, false), (std::vector<int>{-1, -1}));
}

std::shared_ptr<arrow::Table> NestedTable(int64_t rows, bool with_extra) {
  const auto point = arrow::struct_(
      {arrow::field("x", arrow::int64()), arrow::field("tags", arrow::list(arrow::utf8()))});
  arrow::FieldVector fields = {arrow::field("ts", arrow::int64(), false),
                               arrow::field("point", point),
                               arrow::field("by.key", arrow::map(arrow::utf8(), point))};
  if (with_extra) fields.push_back(arrow::field("extra", arrow::int32()));
  arrow::Int64Builder ts;
  for (int64_t row = 0; row < rows; ++row) EXPECT_TRUE(ts.Append(row).ok());
  arrow::ArrayVector columns = {ts.Finish().ValueOrDie()};
  for (size_t i = 1; i < fields.size(); ++i) {
    columns.push_back(arrow::MakeArrayOfNull(fields[i]->type(), rows).ValueOrDie());
  }
  return arrow::Table::Make(arrow::schema(fields), columns);
}

MergeOptions ForTable() {
  MergeOptions options;
  options.keys = {{"ts", false, false}};
  options.codec = *parquet::ParseCodec("lz4");
  options.sync = options.field_ids = options.column_metadata = false;
  const std::vector<FieldIds> point = {{"tags", 22, {{"element", 23}}}, {"x", 21}};
  options.table_ids = {
      {"by.key", 30, {{"key", 31}, {"value", 32, point}}}, {"point", 20, point}, {"ts", 10}};
  return options;
}

TEST(FieldIds, OfATableAreGivenByNameOnAllLevels) {
  const TempDir dir;
  const std::vector<std::string> inputs = {dir.File("a.parquet"), dir.File("b.parquet")};
  WriteTable(inputs[0], *NestedTable(5, false));
  WriteTable(inputs[1], *NestedTable(5, true));
  const auto merged = MergeFiles(inputs, dir.File("out.parquet"), ForTable());
  ASSERT_TRUE(merged.ok()) << merged.error().message;
  EXPECT_TRUE(merged->by_rows);
  // A column that the table does not name has none; the groups that make a list or map never do.
  EXPECT_EQ(IdsIn(dir.File("out.parquet")),
            (std::vector<int>{10, 20, 21, 22, -1, 23, 30, -1, 31, 32, 21, 22, -1, 23, -1}));
}

TEST(FieldIds, OfATableDoNotKeepRowGroupsFromBeingCopied) {
  const TempDir dir;
  Dice dice(3);
  const auto schema = arrow::schema({arrow::field("ts", arrow::int64(), false)});
  const std::vector<SortKey> keys = {{"ts", false, false}};
  WriteTable(dir.File("a.parquet"), *RandomTable(dice, schema, 60'000, keys));
  MergeOptions options = ForTable();
  options.codec = *parquet::ParseCodec("none");
  const auto merged = MergeFiles({dir.File("a.parquet")}, dir.File("out.parquet"), options);
  ASSERT_TRUE(merged.ok()) << merged.error().message;
  EXPECT_EQ(merged->rows_copied, 60'000u);
  EXPECT_EQ(IdsIn(dir.File("out.parquet")), std::vector<int>{10});
}

TEST(FieldIds, OfATableComeWithoutTheWritersOwnSchema) {
  const TempDir dir;
  const auto metadata_of = [&](const std::string& path) {
    return ::parquet::ParquetFileReader::OpenFile(path)->metadata()->key_value_metadata();
  };
  auto properties = ::parquet::ArrowWriterProperties::Builder().store_schema()->build();
  auto sink = arrow::io::FileOutputStream::Open(dir.File("a.parquet")).ValueOrDie();
  arrow::LargeStringBuilder text;
  arrow::Int64Builder ts;
  ASSERT_TRUE(text.Append("x").ok() && ts.Append(1).ok());
  const auto table = arrow::Table::Make(
      arrow::schema({arrow::field("ts", arrow::int64()), arrow::field("s", arrow::large_utf8())}),
      {ts.Finish().ValueOrDie(), text.Finish().ValueOrDie()});
  ASSERT_TRUE(::parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), sink, 1 << 20,
                                           ::parquet::default_writer_properties(), properties)
                  .ok());
  ASSERT_TRUE(sink->Close().ok());
  ASSERT_TRUE(metadata_of(dir.File("a.parquet"))->Contains("ARROW:schema"));
  for (const bool keep : {true, false}) {
    MergeOptions options = ForTable();
    options.column_metadata = keep;
    const std::string out = dir.File(keep ? "kept.parquet" : "without.parquet");
    const auto merged = MergeFiles({dir.File("a.parquet")}, out, options);
    ASSERT_TRUE(merged.ok()) << merged.error().message;
    const auto pairs = metadata_of(out);
    EXPECT_EQ(pairs != nullptr && pairs->Contains("ARROW:schema"), keep);
  }
}

}  // namespace
}  // namespace varve::merge
