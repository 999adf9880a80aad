// Field ids go over to the output, or are left out.
#include <gtest/gtest.h>
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
std::vector<int> FieldIds(const std::string& path) {
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
  return merged.ok() ? FieldIds(dir.File("out.parquet")) : std::vector<int>();
}

TEST(FieldIds, OfTheInputsAreTheOutputsUnlessItShallHaveNone) {
  const auto schema = arrow::schema({WithId(arrow::field("ts", arrow::int64(), false), 7),
                                     WithId(arrow::field("name", arrow::utf8()), 3)});
  EXPECT_EQ(MergedIds(schema, true), (std::vector<int>{7, 3}));
  EXPECT_EQ(MergedIds(schema, false), (std::vector<int>{-1, -1}));
}

}  // namespace
}  // namespace varve::merge
