// Files whose columns differ: which types the output has, and that every row keeps its values.
#include <arrow/json/from_string.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <parquet/file_reader.h>
#include <parquet/schema.h>

#include <filesystem>

#include "merge/random_tables.h"
#include "temp_dir.h"

namespace varve::merge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::shared_ptr<arrow::Table> TableOf(const arrow::FieldVector& fields, std::string_view rows) {
  const auto all = arrow::json::ArrayFromJSONString(arrow::struct_(fields), rows);
  EXPECT_TRUE(all.ok()) << all.status().ToString();
  const auto batch = *arrow::RecordBatch::FromStructArray(*all);
  return *arrow::Table::FromRecordBatches({batch});
}

class SchemaUnionTest : public ::testing::Test {
 protected:
  SchemaUnionTest() {
    options_.keys = {{"ts", false, false}};
    options_.sync = false;
  }
  // A column besides the key, ts: 1, 2, …; each value in JSON.
  void Add(const std::shared_ptr<arrow::Field>& field, const std::vector<std::string>& values) {
    std::string rows;
    for (const std::string& value : values) {
      rows += (rows.empty() ? "[[" : ",[") + std::to_string(++ts_) + "," + value + "]";
    }
    paths_.push_back(dir_.File(std::to_string(paths_.size()) + ".parquet"));
    WriteTable(paths_.back(),
               *TableOf({arrow::field("ts", arrow::int64(), false), field}, rows + "]"));
  }
  void Add(const std::shared_ptr<arrow::DataType>& type, const std::vector<std::string>& values) {
    Add(arrow::field("c", type), values);
  }
  std::shared_ptr<arrow::Table> Merged() {
    const auto merged = MergeFiles(paths_, out(), options_);
    EXPECT_TRUE(merged.ok()) << merged.error().message;
    return merged.ok() ? ReadTable(out()) : nullptr;
  }
  // The merged column, as an array of that type written in JSON.
  void ExpectColumn(const std::shared_ptr<arrow::DataType>& type, const std::string& json) {
    const auto table = Merged();
    ASSERT_NE(table, nullptr);
    const auto column = table->GetColumnByName("c");
    ASSERT_NE(column, nullptr) << table->schema()->ToString();
    const auto wanted = arrow::json::ArrayFromJSONString(type, json);
    ASSERT_TRUE(wanted.ok()) << wanted.status().ToString();
    // A list's or map's parts may have other names.
    const auto got = (*arrow::Concatenate(column->chunks()))->View(type);
    ASSERT_TRUE(got.ok()) << column->type()->ToString();
    EXPECT_TRUE((*got)->Equals(**wanted)) << (*got)->ToString();
  }
  std::string out() const { return dir_.File("out.parquet"); }

  TempDir dir_;
  std::vector<std::string> paths_;
  int ts_ = 0;
  MergeOptions options_;
};

auto Struct(const arrow::FieldVector& fields) { return arrow::struct_(fields); }

TEST_F(SchemaUnionTest, DecimalsOfMoreDigits) {
  Add(arrow::decimal128(5, 2), {R"("1.25")", "null", R"("-999.99")"});
  Add(arrow::decimal128(12, 2), {R"("1234567890.12")", R"("-0.01")"});
  Add(arrow::decimal128(30, 2), {R"("1234567890123456789012345678.99")"});
  ExpectColumn(arrow::decimal128(30, 2),
               R"(["1.25", null, "-999.99", "1234567890.12", "-0.01",
                   "1234567890123456789012345678.99"])");
}

TEST_F(SchemaUnionTest, DecimalsOfAnotherScaleAreAConflict) {
  Add(arrow::decimal128(5, 2), {R"("1.25")"});
  Add(arrow::decimal128(12, 3), {R"("1.250")"});
  const auto merged = MergeFiles(paths_, out(), options_);
  ASSERT_FALSE(merged.ok());
  EXPECT_EQ(merged.error().code, "SCHEMA_CONFLICT");
}

TEST_F(SchemaUnionTest, IntegersThatAreUnsigned) {
  Add(arrow::uint8(), {"200"});
  Add(arrow::uint32(), {"4294967295", "null"});
  ExpectColumn(arrow::uint32(), "[200, 4294967295, null]");
  Add(arrow::uint64(), {"18446744073709551615"});
  ExpectColumn(arrow::uint64(), "[200, 4294967295, null, 18446744073709551615]");
}

TEST_F(SchemaUnionTest, IntegersOfWhichOneHasASign) {
  Add(arrow::uint32(), {"4294967295"});
  Add(arrow::int32(), {"-1"});
  ExpectColumn(arrow::int64(), "[4294967295, -1]");
  Add(arrow::int64(), {"-9000000000"});
  ExpectColumn(arrow::int64(), "[4294967295, -1, -9000000000]");
  Add(arrow::uint64(), {"1"});
  EXPECT_EQ(MergeFiles(paths_, out(), options_).error().code, "SCHEMA_CONFLICT");
}

TEST_F(SchemaUnionTest, ColumnsAreAsWideAsIsAsked) {
  const auto checks = [&](const std::shared_ptr<arrow::DataType>& from, WideColumn wide,
                          const std::shared_ptr<arrow::DataType>& to, const std::string& value) {
    paths_.clear();
    std::filesystem::remove(out());
    Add(from, {value, "null"});
    options_.wide = {std::move(wide)};
    ExpectColumn(to, "[" + value + ",null]");
  };
  checks(arrow::int32(), {"c", ColumnWidth::kInt64}, arrow::int64(), "-7");
  checks(arrow::int8(), {"c", ColumnWidth::kInt64}, arrow::int64(), "-7");
  checks(arrow::float32(), {"c", ColumnWidth::kDouble}, arrow::float64(), "0.5");
  checks(arrow::decimal128(9, 2), {"c", ColumnWidth::kDecimal, 18}, arrow::decimal128(18, 2),
         R"("-1.50")");
  checks(arrow::decimal128(9, 2), {"c", ColumnWidth::kDecimal, 38}, arrow::decimal128(38, 2),
         R"("-1.50")");
  checks(Struct({arrow::field("n", arrow::int32())}), {"c.n", ColumnWidth::kInt64},
         Struct({arrow::field("n", arrow::int64())}), R"({"n": 3})");
  checks(arrow::list(arrow::field("item", arrow::int32())), {"c.element", ColumnWidth::kInt64},
         arrow::list(arrow::field("item", arrow::int64())), "[1, null, -2]");
  checks(arrow::map(arrow::utf8(), arrow::float32()), {"c.value", ColumnWidth::kDouble},
         arrow::map(arrow::utf8(), arrow::float64()), R"([["a", 0.25]])");
}

TEST_F(SchemaUnionTest, WhatCannotBecomeSoWideStaysAsItIs) {
  Add(arrow::utf8(), {R"("text")"});
  options_.wide = {{"c", ColumnWidth::kInt64}, {"gone", ColumnWidth::kDouble}};
  ExpectColumn(arrow::utf8(), R"(["text"])");
}

TEST_F(SchemaUnionTest, FieldsOfStructsAreUnitedByName) {
  Add(Struct({arrow::field("a", arrow::int32(), false), arrow::field("b", arrow::utf8())}),
      {R"({"a": 1, "b": "x"})", "null"});
  Add(Struct({arrow::field("late", arrow::utf8()), arrow::field("a", arrow::int64())}),
      {R"({"late": "y", "a": 5000000000})", R"({"late": null, "a": null})"});
  ExpectColumn(Struct({arrow::field("a", arrow::int64()), arrow::field("b", arrow::utf8()),
                       arrow::field("late", arrow::utf8())}),
               R"([{"a": 1, "b": "x", "late": null}, null,
                   {"a": 5000000000, "b": null, "late": "y"},
                   {"a": null, "b": null, "late": null}])");
}

TEST_F(SchemaUnionTest, SoAreThoseOfStructsInLists) {
  const auto list = [](const arrow::FieldVector& fields) {
    return arrow::list(arrow::field("item", Struct(fields)));
  };
  Add(list({arrow::field("a", arrow::int64())}), {R"([{"a": 1}, null])", "[]", "null"});
  Add(list({arrow::field("b", arrow::utf8()), arrow::field("a", arrow::int64())}),
      {R"([{"b": "x", "a": 2}])"});
  ExpectColumn(list({arrow::field("a", arrow::int64()), arrow::field("b", arrow::utf8())}),
               R"([[{"a": 1, "b": null}, null], [], null, [{"a": 2, "b": "x"}]])");
}

TEST_F(SchemaUnionTest, AColumnWithoutATypeHasTheOthers) {
  const auto type = arrow::list(arrow::field("item", arrow::utf8()));
  Add(arrow::null(), {"null"});
  Add(arrow::list(arrow::field("item", arrow::null())), {"[]", "[null]", "null"});
  Add(type, {R"(["x"])"});
  Add(arrow::null(), {"null"});
  ExpectColumn(type, R"([null, [], [null], null, ["x"], null])");
}

TEST_F(SchemaUnionTest, AFlatOneToo) {
  Add(arrow::null(), {"null", "null"});
  Add(arrow::utf8(), {R"("x")"});
  ExpectColumn(arrow::utf8(), R"([null, null, "x"])");
  EXPECT_FALSE(MergeFiles(paths_, out(), options_)->by_rows);
}

TEST_F(SchemaUnionTest, ColumnsWithoutATypeAreKeptOrLeftOut) {
  Add(arrow::null(), {"null", "null"});
  EXPECT_NE(Merged()->GetColumnByName("c"), nullptr);
  options_.untyped_columns = false;
  EXPECT_EQ(Merged()->GetColumnByName("c"), nullptr);
  EXPECT_EQ(Merged()->num_rows(), 2);
}

TEST_F(SchemaUnionTest, FieldsWithoutATypeAreLeftOut) {
  options_.untyped_columns = false;
  Add(Struct({arrow::field("a", arrow::int64()), arrow::field("n", arrow::null())}),
      {R"({"a": 1, "n": null})", "null"});
  ExpectColumn(Struct({arrow::field("a", arrow::int64())}), R"([{"a": 1}, null])");
}

TEST_F(SchemaUnionTest, TwoColumnsOfOneNameAreRefusedInAnyFile) {
  Add(arrow::field("b", arrow::int64()), {"1"});
  paths_.push_back(dir_.File("two.parquet"));
  WriteTable(paths_.back(),
             *TableOf({arrow::field("ts", arrow::int64(), false), arrow::field("x", arrow::int64()),
                       arrow::field("x", arrow::int64())},
                      "[[9,1,2]]"));
  const auto merged = MergeFiles(paths_, out(), options_);
  ASSERT_FALSE(merged.ok());
  EXPECT_THAT(merged.error().message, HasSubstr("two columns named x"));
  EXPECT_THAT(merged.error().message, HasSubstr("two.parquet"));
}

TEST_F(SchemaUnionTest, ANameWithADotIsNotAFieldOfAStruct) {
  const auto type = Struct({arrow::field("b", arrow::int64())});
  for (int i = 0; i < 2; ++i) {
    paths_.push_back(dir_.File("in" + std::to_string(i) + ".parquet"));
    arrow::FieldVector fields = {arrow::field("ts", arrow::int64(), false),
                                 arrow::field("a.b", arrow::utf8()), arrow::field("a", type)};
    if (i == 1) std::swap(fields[1], fields[2]);
    WriteTable(paths_.back(),
               *TableOf(fields, i == 0 ? R"([[1,"flat",{"b":1}]])" : R"([[2,{"b":2},"other"]])"));
  }
  EXPECT_THAT(RowsOf(*Merged()), ElementsAre(AllOf(HasSubstr("flat"), HasSubstr("1")),
                                             AllOf(HasSubstr("other"), HasSubstr("2"))));
  options_.keys = {{"a.b", false, false}};
  const auto merged = MergeFiles(paths_, out(), options_);
  ASSERT_FALSE(merged.ok());
  EXPECT_THAT(merged.error().message, HasSubstr("two columns a.b"));
}

}  // namespace
}  // namespace varve::merge
