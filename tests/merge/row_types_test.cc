// Rows that Arrow's reader and writer move, as columns are nested or a file is sorted first: the
// output has the types and values of the inputs, whatever Arrow makes of them.
#include <arrow/extension/json.h>
#include <arrow/extension/uuid.h>
#include <arrow/io/file.h>
#include <arrow/json/from_string.h>
#include <arrow/util/key_value_metadata.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <parquet/arrow/writer.h>
#include <parquet/column_reader.h>
#include <parquet/column_writer.h>
#include <parquet/file_reader.h>
#include <parquet/file_writer.h>
#include <parquet/schema.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>

#include "merge/random_tables.h"
#include "temp_dir.h"

namespace varve::merge {
namespace {

namespace pq = ::parquet;

using pq::LogicalType;
using pq::Type;
using pq::schema::GroupNode;
using pq::schema::NodePtr;
using pq::schema::NodeVector;
using pq::schema::PrimitiveNode;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;

NodePtr Leaf(const std::string& name, const std::shared_ptr<const LogicalType>& logical,
             Type::type physical, int length = -1) {
  return PrimitiveNode::Make(name, pq::Repetition::OPTIONAL, logical, physical, length);
}

NodePtr ListOfInts(const std::string& name) {
  const auto list =
      GroupNode::Make("list", pq::Repetition::REPEATED, {Leaf("element", nullptr, Type::INT64)});
  return GroupNode::Make(name, pq::Repetition::OPTIONAL, {list}, LogicalType::List());
}

// A Parquet type, an Arrow type that libparquet writes it from, and a value in JSON.
struct Column {
  NodePtr node;
  std::shared_ptr<arrow::DataType> type;
  std::string value;
};

LogicalType::TimeUnit::unit Micros() { return LogicalType::TimeUnit::MICROS; }

std::vector<Column> AllTypes() {
  const auto millis = LogicalType::Timestamp(true, LogicalType::TimeUnit::MILLIS);
  const auto nanos = LogicalType::Timestamp(false, LogicalType::TimeUnit::NANOS);
  return {
      {Leaf("uuid", LogicalType::UUID(), Type::FIXED_LEN_BYTE_ARRAY, 16),
       arrow::fixed_size_binary(16), R"("0123456789abcdef")"},
      {Leaf("json", LogicalType::JSON(), Type::BYTE_ARRAY), arrow::utf8(), R"("{}")"},
      {Leaf("enum", LogicalType::Enum(), Type::BYTE_ARRAY), arrow::utf8(), R"("RED")"},
      {Leaf("bson", LogicalType::BSON(), Type::BYTE_ARRAY), arrow::binary(), R"("b")"},
      {Leaf("text", LogicalType::String(), Type::BYTE_ARRAY), arrow::utf8(), R"("ä")"},
      {Leaf("interval", LogicalType::Interval(), Type::FIXED_LEN_BYTE_ARRAY, 12),
       arrow::fixed_size_binary(12), R"("0123456789ab")"},
      {Leaf("d32", LogicalType::Decimal(9, 2), Type::INT32), arrow::decimal128(9, 2), R"("-1.25")"},
      {Leaf("d64", LogicalType::Decimal(18, 4), Type::INT64), arrow::decimal128(18, 4),
       R"("12345678901234.5678")"},
      {Leaf("wide", LogicalType::Decimal(5, 2), Type::FIXED_LEN_BYTE_ARRAY, 8),
       arrow::fixed_size_binary(8), R"("\u0000\u0000\u0000\u0000\u0000\u0000\u0001\u0002")"},
      {Leaf("free", LogicalType::Decimal(20, 2), Type::BYTE_ARRAY), arrow::binary(),
       R"("\u0001\u0002")"},
      {Leaf("int96", nullptr, Type::INT96), arrow::timestamp(arrow::TimeUnit::NANO), "-12345"},
      {Leaf("ms", millis, Type::INT64), arrow::timestamp(arrow::TimeUnit::MILLI, "UTC"), "5"},
      {Leaf("us", LogicalType::Timestamp(true, Micros()), Type::INT64),
       arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"), "6"},
      {Leaf("ns", nanos, Type::INT64), arrow::timestamp(arrow::TimeUnit::NANO), "7"},
      {Leaf("time", LogicalType::Time(true, Micros()), Type::INT64),
       arrow::time64(arrow::TimeUnit::MICRO), "8"},
      {Leaf("date", LogicalType::Date(), Type::INT32), arrow::date32(), "9"},
      {Leaf("u8", LogicalType::Int(8, false), Type::INT32), arrow::uint8(), "255"},
      {Leaf("u32", LogicalType::Int(32, false), Type::INT32), arrow::uint32(), "4294967295"},
      {Leaf("u64", LogicalType::Int(64, false), Type::INT64), arrow::uint64(), "77"},
      {Leaf("half", LogicalType::Float16(), Type::FIXED_LEN_BYTE_ARRAY, 2), arrow::float16(),
       "0.5"},
      {Leaf("nothing", LogicalType::Null(), Type::INT32), arrow::null(), "null"},
      {Leaf("flag", nullptr, Type::BOOLEAN), arrow::boolean(), "true"},
      {ListOfInts("list"), arrow::list(arrow::field("element", arrow::int64())), "[1, null]"},
  };
}

class RowTypesTest : public ::testing::Test {
 protected:
  RowTypesTest() {
    options_.keys = {{"ts", false, false}};
    options_.sync = false;
    options_.unsorted = Unsorted::kSort;
  }
  // Rows of those keys, and in the other columns of a value and nulls by turns.
  std::string Write(const std::vector<Column>& columns, const std::vector<int>& keys,
                    const std::shared_ptr<arrow::KeyValueMetadata>& metadata = nullptr) {
    NodeVector nodes = {PrimitiveNode::Make("ts", pq::Repetition::REQUIRED, Type::INT64)};
    arrow::FieldVector fields = {arrow::field("ts", arrow::int64(), false)};
    std::vector<std::string> rows;
    for (const int key : keys) rows.push_back(std::to_string(key));
    for (const Column& column : columns) {
      nodes.push_back(column.node);
      fields.push_back(arrow::field(column.node->name(), column.type));
      for (size_t i = 0; i < rows.size(); ++i)
        rows[i] += "," + (i % 2 == 0 ? column.value : "null");
    }
    std::string json;
    for (const std::string& row : rows) json += (json.empty() ? "[[" : ",[") + row + "]";
    const auto root = std::static_pointer_cast<GroupNode>(
        GroupNode::Make("root", pq::Repetition::REQUIRED, nodes));
    const auto array = arrow::json::ArrayFromJSONString(arrow::struct_(fields), json + "]");
    EXPECT_TRUE(array.ok()) << array.status().ToString();
    const auto batch = *arrow::RecordBatch::FromStructArray(*array);
    const std::string path = NextPath();
    std::unique_ptr<pq::arrow::FileWriter> writer;
    pq::WriterProperties::Builder properties;
    EXPECT_TRUE(pq::arrow::FileWriter::Make(
                    arrow::default_memory_pool(),
                    pq::ParquetFileWriter::Open(*arrow::io::FileOutputStream::Open(path), root,
                                                properties.build(), metadata),
                    arrow::schema(fields), pq::default_arrow_writer_properties(), &writer)
                    .ok());
    EXPECT_TRUE(writer->WriteTable(**arrow::Table::FromRecordBatches({batch})).ok());
    EXPECT_TRUE(writer->Close().ok());
    return path;
  }
  // A table, with an ARROW:schema that tells of its types and metadata.
  std::string WriteAsArrow(const arrow::FieldVector& fields,
                           const std::vector<std::shared_ptr<arrow::Array>>& columns,
                           const std::vector<std::string>& keys = {},
                           const std::vector<std::string>& values = {}) {
    const auto schema = arrow::schema(fields, arrow::key_value_metadata(keys, values));
    const auto table = arrow::Table::Make(schema, columns);
    const std::string path = NextPath();
    auto properties = pq::ArrowWriterProperties::Builder().store_schema()->build();
    EXPECT_TRUE(pq::arrow::WriteTable(*table, arrow::default_memory_pool(),
                                      *arrow::io::FileOutputStream::Open(path), 1 << 20,
                                      pq::default_writer_properties(), properties)
                    .ok());
    return path;
  }
  std::string NextPath() { return dir_.File(std::to_string(count_++) + ".parquet"); }
  std::string out() const { return dir_.File("out.parquet"); }
  Result<MergeSummary> Merge(const std::vector<std::string>& paths) {
    return MergeFiles(paths, out(), options_);
  }
  static std::shared_ptr<pq::FileMetaData> FooterOf(const std::string& path) {
    return pq::ParquetFileReader::OpenFile(path)->metadata();
  }
  static std::vector<std::pair<std::string, std::string>> MetadataOf(const std::string& path) {
    const auto pairs = FooterOf(path)->key_value_metadata();
    return pairs == nullptr ? std::vector<std::pair<std::string, std::string>>()
                            : pairs->sorted_pairs();
  }
  void ExpectMerged(const std::vector<std::string>& paths) {
    const auto merged = Merge(paths);
    ASSERT_TRUE(merged.ok()) << merged.error().message;
    EXPECT_TRUE(FooterOf(out())->schema()->Equals(*FooterOf(paths[0])->schema()))
        << FooterOf(out())->schema()->ToString();
    std::vector<std::shared_ptr<arrow::Table>> tables;
    for (const std::string& path : paths) tables.push_back(ReadTable(path));
    EXPECT_EQ(RowsOf(*ReadTable(out())), SortedRows(tables, options_.keys));
  }

  TempDir dir_;
  int count_ = 0;
  MergeOptions options_;
};

std::shared_ptr<arrow::Array> Json(const std::shared_ptr<arrow::DataType>& type,
                                   const std::string& values) {
  const auto array = arrow::json::ArrayFromJSONString(type, values);
  EXPECT_TRUE(array.ok()) << array.status().ToString();
  return *array;
}

TEST_F(RowTypesTest, NestedFilesKeepTheirTypes) {
  ExpectMerged({Write(AllTypes(), {1, 2, 5}), Write(AllTypes(), {1, 3, 3, 7})});
  EXPECT_TRUE(Merge({Write(AllTypes(), {1})})->by_rows);
}

TEST_F(RowTypesTest, SoDoFilesThatAreSorted) { ExpectMerged({Write(AllTypes(), {2, 1, 5})}); }

TEST_F(RowTypesTest, ASortedCopyHasTheTypesOfItsFile) {
  auto flat = AllTypes();
  flat.pop_back();
  ExpectMerged({Write(flat, {1, 2, 5}), Write(flat, {3, 1, 2})});
}

TEST_F(RowTypesTest, DecimalsInBytesBecomeWiderRowByRow) {
  const auto decimal = [&](int digits, int bytes, const std::string& value) {
    return Column{Leaf("d", LogicalType::Decimal(digits, 2), Type::FIXED_LEN_BYTE_ARRAY, bytes),
                  arrow::fixed_size_binary(bytes), value};
  };
  const Column list = AllTypes().back();
  const Column text{Leaf("d", LogicalType::Decimal(9, 2), Type::BYTE_ARRAY), arrow::binary(),
                    R"("\u0001\u0002")"};
  const auto merged =
      Merge({Write({decimal(9, 4, R"("\u0000\u0000\u0001\u0000")"), list}, {1, 2}),
             Write({decimal(20, 9, R"("abcdefghi")"), list}, {3}), Write({text, list}, {4})});
  ASSERT_TRUE(merged.ok()) << merged.error().message;
  const auto column = *arrow::Concatenate(ReadTable(out())->GetColumnByName("d")->chunks());
  EXPECT_EQ(column->type()->ToString(), "decimal128(20, 2)");
  EXPECT_EQ((*column->GetScalar(0))->ToString(), "2.56");
  EXPECT_FALSE(column->IsValid(1));
  EXPECT_EQ((*column->GetScalar(3))->ToString(), "2.58");
}

TEST_F(RowTypesTest, MetadataIsKept) {
  const auto pairs = arrow::key_value_metadata({"a", "mine"}, {"b", "1"});
  const auto others = arrow::key_value_metadata({"a", "mine"}, {"b", "2"});
  ASSERT_TRUE(Merge({Write(AllTypes(), {2, 1}, pairs), Write(AllTypes(), {1}, others)}).ok());
  EXPECT_THAT(MetadataOf(out()), Contains(Pair("a", "b")));
  EXPECT_THAT(MetadataOf(out()), Not(Contains(Key("mine"))));
}

TEST_F(RowTypesTest, ExtensionsAreRowsOfTheirStorage) {
  const auto uuids = Json(arrow::fixed_size_binary(16), R"(["0123456789abcdef", null])");
  const auto texts = Json(arrow::utf8(), R"(["{}", null])");
  const auto uuid = arrow::extension::uuid();
  const auto json = *arrow::extension::JsonExtensionType::Make(arrow::utf8());
  const auto list = arrow::list(arrow::field("element", arrow::int64()));
  const auto path =
      WriteAsArrow({arrow::field("ts", arrow::int64(), false), arrow::field("u", uuid),
                    arrow::field("j", json), arrow::field("l", list)},
                   {Json(arrow::int64(), "[2, 1]"), arrow::ExtensionType::WrapArray(uuid, uuids),
                    arrow::ExtensionType::WrapArray(json, texts), Json(list, "[[1], null]")});
  ExpectMerged({path});
  const auto read = ReadTable(out());
  EXPECT_EQ(read->GetColumnByName("u")->type()->ToString(), uuid->ToString());
  EXPECT_EQ(read->GetColumnByName("j")->type()->ToString(), json->ToString());
}

TEST_F(RowTypesTest, SoAreArrowsOtherTypes) {
  const auto check = [&](const std::shared_ptr<arrow::DataType>& type, const std::string& value) {
    const auto list = arrow::list(arrow::field("element", arrow::int64()));
    const auto row = [&](int key) {
      return WriteAsArrow({arrow::field("ts", arrow::int64(), false), arrow::field("c", type),
                           arrow::field("l", list)},
                          {Json(arrow::int64(), "[" + std::to_string(key) + ",9]"),
                           Json(type, "[" + value + ", null]"), Json(list, "[[1], null]")},
                          {"writer"}, {std::to_string(key)});
    };
    ExpectMerged({row(2), row(1)});
    EXPECT_EQ(ReadTable(out())->GetColumnByName("c")->type()->ToString(), type->ToString());
  };
  check(arrow::duration(arrow::TimeUnit::SECOND), "7");
  check(arrow::timestamp(arrow::TimeUnit::MICRO, "Europe/Berlin"), "7");
  check(arrow::large_utf8(), R"("x")");
  check(arrow::binary_view(), R"("x")");
  check(arrow::dictionary(arrow::int32(), arrow::utf8()), R"("x")");
  check(arrow::large_list(arrow::field("element", arrow::utf8())), R"(["x", null])");
  check(arrow::fixed_size_list(arrow::field("element", arrow::int32()), 2), "[1, 2]");
  check(arrow::struct_({arrow::field("d", arrow::duration(arrow::TimeUnit::MILLI))}),
        R"({"d": 5})");
  check(arrow::decimal256(50, 3), R"("1.500")");
}

// A group that may be null, of what must not be, is null where a file lacks it: all of it, or a
// group within.
TEST_F(RowTypesTest, AFileMayLackAGroupWhoseFieldsMustBeThere) {
  const auto list = arrow::list(arrow::field("element", arrow::int64(), false));
  const auto inner = arrow::struct_({arrow::field("z", arrow::int32(), false)});
  const auto group =
      arrow::struct_({arrow::field("z", arrow::utf8(), false), arrow::field("g", inner, false),
                      arrow::field("l", list, false), arrow::field("may", arrow::int64())});
  const auto wide = arrow::struct_({arrow::field("x", arrow::int64()), arrow::field("g", group)});
  const auto narrow = arrow::struct_({arrow::field("x", arrow::int64())});
  const auto ts = arrow::field("ts", arrow::int64(), false);
  const auto with = WriteAsArrow(
      {ts, arrow::field("s", wide), arrow::field("g", group)},
      {Json(arrow::int64(), "[9, 3]"),
       Json(wide, R"([{"x": 1, "g": {"z": "a", "g": {"z": 5}, "l": [1, 2], "may": null}}, null])"),
       Json(group, R"([null, {"z": "b", "g": {"z": 6}, "l": [], "may": 7}])")});
  const auto without =
      WriteAsArrow({ts, arrow::field("s", narrow)},
                   {Json(arrow::int64(), "[2, 1]"), Json(narrow, R"([{"x": 2}, null])")});
  const auto merged = Merge({with, without});
  ASSERT_TRUE(merged.ok()) << merged.error().message;
  const auto read = ReadTable(out());
  ASSERT_TRUE(read->ValidateFull().ok());
  const auto column = [&](const std::string& name) {
    return *arrow::Concatenate(read->GetColumnByName(name)->chunks());
  };
  EXPECT_TRUE(column("s")->Equals(Json(wide,
                                       R"([null, {"x": 2, "g": null}, null,
          {"x": 1, "g": {"z": "a", "g": {"z": 5}, "l": [1, 2], "may": null}}])")))
      << column("s")->ToString();
  EXPECT_TRUE(column("g")->Equals(
      Json(group, R"([null, null, {"z": "b", "g": {"z": 6}, "l": [], "may": 7}, null])")))
      << column("g")->ToString();
}

TEST_F(RowTypesTest, AListOrGroupThatIsNullMayHoldWhatMustNotBe) {
  const auto numbers = Json(arrow::int32(), "[1, 2, 0, 0]");
  const auto groups = *arrow::StructArray::Make(
      {numbers}, arrow::FieldVector{arrow::field("z", arrow::int32(), false)});
  const auto second_is_null = Json(arrow::int32(), "[1, null]")->null_bitmap();
  const auto lists = *arrow::FixedSizeListArray::FromArrays(groups, 2, second_is_null);
  const auto word = *arrow::DictionaryArray::FromArrays(Json(arrow::int32(), "[0, 0]"),
                                                        Json(arrow::utf8(), R"(["x"])"));
  const auto words =
      *arrow::StructArray::Make({word}, arrow::FieldVector{arrow::field("d", word->type(), false)},
                                Json(arrow::int32(), "[null, null]")->null_bitmap());
  ExpectMerged({WriteAsArrow({arrow::field("ts", arrow::int64(), false),
                              arrow::field("l", lists->type()), arrow::field("d", words->type())},
                             {Json(arrow::int64(), "[2, 1]"), lists, words})});
  EXPECT_TRUE(ReadTable(out())->GetColumnByName("d")->type()->Equals(words->type()));
}

TEST_F(RowTypesTest, ABoundedNumberOfFilesIsOpen) {
  std::vector<std::string> paths;
  for (int i = 0; i < 100; ++i) paths.push_back(Write({AllTypes().back()}, {1, 1000 + i}));
  options_.open_files_max = 8;
  options_.threads = 1;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  const auto merged = Merge(paths);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(merged.ok()) << merged.error().message;
  EXPECT_TRUE(merged->by_rows);
  EXPECT_EQ(merged->rows, 200u);
}

TEST_F(RowTypesTest, AColumnThatCannotBeReadIsNamed) {
  const Column text{Leaf("text", LogicalType::String(), Type::BYTE_ARRAY), arrow::utf8(),
                    "\"" + std::string(100, 'x') + "\""};
  const std::string path = Write({text, AllTypes().back()}, {1, 2, 3});
  std::string bytes = BytesOf(path);
  const size_t length = bytes.find(std::string(100, 'x')) - sizeof(uint32_t);
  ASSERT_EQ(bytes[length], 100);
  bytes[length] = 127;  // a string that is longer than its page
  std::ofstream(path, std::ios::binary) << bytes;
  const auto merged = Merge({path});
  ASSERT_FALSE(merged.ok());
  EXPECT_EQ(merged.error().kind, ErrorKind::kCorrupt);
  EXPECT_THAT(merged.error().message, HasSubstr(path + ": row group 0, column text: "));
}

class DurationsTest : public RowTypesTest {
 protected:
  std::string Durations(arrow::TimeUnit::type unit, int key, const std::string& writer) {
    return WriteAsArrow(
        {arrow::field("ts", arrow::int64(), false), arrow::field("d", arrow::duration(unit))},
        {Json(arrow::int64(), "[" + std::to_string(key) + "]"), Json(arrow::duration(unit), "[1]")},
        {"writer"}, {writer});
  }
  std::string TypeOfOutput(const std::string& column) const {
    return ReadTable(out())->GetColumnByName(column)->type()->ToString();
  }
};

TEST_F(DurationsTest, OfDifferentUnitsAreAConflict) {
  const auto merged = Merge(
      {Durations(arrow::TimeUnit::SECOND, 1, "a"), Durations(arrow::TimeUnit::MILLI, 2, "a")});
  ASSERT_FALSE(merged.ok());
  EXPECT_EQ(merged.error().code, "SCHEMA_CONFLICT");
  EXPECT_THAT(merged.error().message, HasSubstr("column d is duration[s] in "));
  EXPECT_THAT(merged.error().message, HasSubstr("1.parquet"));
}

TEST_F(DurationsTest, AreKeptThoughTheFilesSayOtherThings) {
  ASSERT_TRUE(Merge({Durations(arrow::TimeUnit::SECOND, 1, "a"),
                     Durations(arrow::TimeUnit::SECOND, 2, "b")})
                  .ok());
  EXPECT_EQ(TypeOfOutput("d"), "duration[s]");
  EXPECT_THAT(MetadataOf(out()), Not(Contains(Key("writer"))));
}

TEST_F(DurationsTest, AreKeptWhenOtherColumnsDiffer) {
  const auto more = WriteAsArrow(
      {arrow::field("ts", arrow::int64(), false), arrow::field("z", arrow::large_utf8()),
       arrow::field("d", arrow::duration(arrow::TimeUnit::SECOND))},
      {Json(arrow::int64(), "[3]"), Json(arrow::large_utf8(), "[\"x\"]"),
       Json(arrow::duration(arrow::TimeUnit::SECOND), "[5]")});
  const auto plain = Write({{Leaf("p", nullptr, Type::INT64), arrow::int64(), "1"}}, {4});
  ASSERT_TRUE(Merge({Durations(arrow::TimeUnit::SECOND, 1, "a"), more, plain}).ok());
  EXPECT_EQ(TypeOfOutput("d"), "duration[s]");
  EXPECT_EQ(TypeOfOutput("z"), "large_string");
  EXPECT_EQ(TypeOfOutput("p"), "int64");
}

TEST_F(DurationsTest, AreNumbersWhenAFileHasNumbers) {
  const auto plain = Write({{Leaf("d", nullptr, Type::INT64), arrow::int64(), "1"}}, {4});
  ASSERT_TRUE(Merge({Durations(arrow::TimeUnit::SECOND, 1, "a"), plain}).ok());
  EXPECT_EQ(TypeOfOutput("d"), "int64");
}

class FarInt96Test : public RowTypesTest {
 protected:
  // Keys, and 9999-12-31, which 64 bits of nanoseconds do not hold.
  std::string Far(const std::vector<int64_t>& keys) {
    const auto root = std::static_pointer_cast<GroupNode>(
        GroupNode::Make("root", pq::Repetition::REQUIRED,
                        {PrimitiveNode::Make("ts", pq::Repetition::REQUIRED, Type::INT64),
                         PrimitiveNode::Make("far", pq::Repetition::REQUIRED, Type::INT96)}));
    const std::string path = NextPath();
    auto writer = pq::ParquetFileWriter::Open(*arrow::io::FileOutputStream::Open(path), root);
    auto* group = writer->AppendRowGroup();
    static_cast<pq::Int64Writer*>(group->NextColumn())
        ->WriteBatch(static_cast<int64_t>(keys.size()), nullptr, nullptr, keys.data());
    const std::vector<pq::Int96> times(keys.size(), pq::Int96{{0, 0, 5'373'484}});
    static_cast<pq::Int96Writer*>(group->NextColumn())
        ->WriteBatch(static_cast<int64_t>(keys.size()), nullptr, nullptr, times.data());
    writer->Close();
    return path;
  }
  void ExpectRefused(const std::vector<std::string>& paths, const std::string& name) {
    const auto merged = Merge(paths);
    ASSERT_FALSE(merged.ok());
    EXPECT_EQ(merged.error().code, "TIMESTAMP_RANGE");
    EXPECT_THAT(merged.error().message, HasSubstr(name));
    EXPECT_THAT(merged.error().message, HasSubstr("column far"));
    EXPECT_FALSE(std::filesystem::exists(out()));
  }
};

TEST_F(FarInt96Test, IsRefusedWhereItsRowsAreMoved) {
  const std::string list = Write({AllTypes().back()}, {1, 2});
  const std::string far = Far({1, 2});
  ExpectRefused({list, far}, far);
  const std::string unsorted = Far({2, 1});
  ExpectRefused({unsorted}, unsorted);
  options_.keys = {{"far", false, false}, {"ts", false, false}};
  ExpectRefused({unsorted}, unsorted);
}

TEST_F(FarInt96Test, IsKeptWhereItsBytesAre) {
  const std::string far = Far({1, 2});
  ASSERT_TRUE(Merge({far, Far({3})}).ok());
  const auto reader = pq::ParquetFileReader::OpenFile(out());
  const auto column = reader->RowGroup(0)->Column(1);
  pq::Int96 value;
  int64_t got = 0;
  static_cast<pq::Int96Reader&>(*column).ReadBatch(1, nullptr, nullptr, &value, &got);
  EXPECT_EQ(value.value[2], 5'373'484u);
}

TEST_F(FarInt96Test, HasRoomInMicroseconds) {
  options_.timestamps = Timestamps::kMicros;
  const auto merged = Merge({Far({2, 1})});
  EXPECT_TRUE(merged.ok()) << merged.error().message;
}

}  // namespace
}  // namespace varve::merge
