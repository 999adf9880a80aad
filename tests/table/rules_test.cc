// Schemas, bounds, partitions, and metadata as pure rules.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "core/bytes.h"
#include "table/bounds.h"
#include "table/delta/state.h"
#include "table/file_footer.h"
#include "table/iceberg/commit.h"
#include "table/iceberg/metadata.h"

namespace varve::table {
namespace {

Type Of(TypeId id) {
  Type type;
  type.id = id;
  return type;
}

Field Column(const char* name, TypeId id, bool required = false) {
  Field field;
  field.name = name;
  field.type.id = id;
  field.required = required;
  return field;
}

std::string Le64(int64_t value) {
  std::string out;
  AppendLe(out, value);
  return out;
}

RC_GTEST_PROP(Bounds, ATruncatedBoundIsNeverOnTheWrongSide, ()) {
  const auto text = *rc::gen::arbitrary<std::string>();
  for (const TypeId id : {TypeId::kString, TypeId::kBinary}) {
    const Type type = Of(id);
    RC_ASSERT(CompareValues(type, TruncateLower(type, text), text) <= 0);
    const auto upper = TruncateUpper(type, text);
    if (upper) RC_ASSERT(CompareValues(type, *upper, text) >= 0);
  }
}

TEST(Bounds, Trap7AnUpperBoundThatIsCutIsMadeGreater) {
  const Type text = Of(TypeId::kString);
  const std::string sixteen(16, 'a');
  EXPECT_EQ(TruncateUpper(text, sixteen), sixteen);
  EXPECT_EQ(TruncateUpper(text, sixteen + "z"), std::string(15, 'a') + "b");
  std::string umlauts;
  for (int i = 0; i < 20; ++i) umlauts += "ä";
  EXPECT_EQ(TruncateLower(text, umlauts).size(), 32u);  // 16 code points
  EXPECT_GT(*TruncateUpper(text, umlauts), umlauts);
  std::string last;
  for (int i = 0; i < 17; ++i) last += "\xf4\x8f\xbf\xbf";  // U+10FFFF has no next one
  EXPECT_EQ(TruncateUpper(text, last), std::nullopt);
  EXPECT_EQ(TruncateUpper(text, "a" + last), "b");
  std::string before_surrogates(15, 'a');
  before_surrogates += "\xed\x9f\xbf" + std::string("x");
  EXPECT_EQ(*TruncateUpper(text, before_surrogates), std::string(15, 'a') + "\xee\x80\x80");
  EXPECT_EQ(TruncateUpper(Of(TypeId::kBinary), std::string(17, '\xff')), std::nullopt);
}

TEST(Bounds, Trap6HoursAndDaysAreRoundedDownBefore1970Too) {
  const Type type = Of(TypeId::kTimestamptz);
  const auto number = [&](const char* transform, int64_t micros) {
    return GetLe<int32_t>(ApplyTransform(transform, type, Le64(micros)).value().data());
  };
  EXPECT_EQ(number("hour", 0), 0);
  EXPECT_EQ(number("hour", 3'599'999'999), 0);
  EXPECT_EQ(number("hour", -1), -1);
  EXPECT_EQ(number("day", -1), -1);
  EXPECT_EQ(number("day", 86'400'000'000), 1);
  EXPECT_EQ(number("month", -1), -1);
  EXPECT_EQ(number("year", 0), 0);
}

TEST(Bounds, DecimalsAreMinimalTwosComplement) {
  EXPECT_EQ(BigEndianOf(0), std::string(1, '\0'));
  EXPECT_EQ(BigEndianOf(127), "\x7f");
  EXPECT_EQ(BigEndianOf(128), std::string("\0\x80", 2));
  EXPECT_EQ(BigEndianOf(-1), "\xff");
  EXPECT_EQ(BigEndianOf(-129), "\xff\x7f");
  Type decimal = Of(TypeId::kDecimal);
  decimal.precision = 10, decimal.scale = 2;
  EXPECT_LT(CompareValues(decimal, BigEndianOf(-129), BigEndianOf(1)), 0);
  EXPECT_LT(CompareValues(decimal, BigEndianOf(200), BigEndianOf(70'000)), 0);
}

RC_GTEST_PROP(Bounds, EncodedNumbersKeepTheirOrder, (int64_t a, int64_t b)) {
  Type decimal = Of(TypeId::kDecimal);
  const int expected = a < b ? -1 : a > b ? 1 : 0;
  RC_ASSERT(CompareValues(decimal, BigEndianOf(a), BigEndianOf(b)) == expected);
  RC_ASSERT(CompareValues(Of(TypeId::kLong), Le64(a), Le64(b)) == expected);
}

TEST(Schema, NewColumnsAreAddedAndNarrowOnesWidened) {
  Schema table;
  table.fields = {Column("a", TypeId::kInt, true), Column("b", TypeId::kFloat)};
  const int32_t last = AssignIds(table, 0);
  Schema file;
  file.fields = {Column("b", TypeId::kDouble), Column("c", TypeId::kString, true),
                 Column("a", TypeId::kLong, true)};
  const auto evolved = EvolveSchema(table, file, last);
  ASSERT_TRUE(evolved.ok());
  EXPECT_TRUE(evolved->changed && evolved->widened);
  ASSERT_EQ(evolved->schema.fields.size(), 3u);
  EXPECT_EQ(evolved->schema.fields[0].type.id, TypeId::kLong);
  EXPECT_TRUE(evolved->schema.fields[0].required);
  EXPECT_EQ(evolved->schema.fields[2].id, 3);
  EXPECT_FALSE(evolved->schema.fields[2].required);
  EXPECT_EQ(evolved->last_column_id, 3);
  Schema narrow;
  narrow.fields = {Column("a", TypeId::kInt)};
  const auto again = EvolveSchema(evolved->schema, narrow, 3);
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->schema.fields[0].required);  // the file may have it null
  EXPECT_EQ(again->schema.fields[0].type.id, TypeId::kLong);
  narrow.fields = {Column("a", TypeId::kString)};
  EXPECT_EQ(EvolveSchema(table, narrow, last).error().code, "SCHEMA_MISMATCH");
}

TEST(Schema, NamesThatDifferInCaseAloneAreNotAdded) {
  Schema table, file;
  table.fields = {Column("id", TypeId::kInt)};
  AssignIds(table, 0);
  file.fields = {Column("ID", TypeId::kInt)};
  EXPECT_EQ(EvolveSchema(table, file, 1).error().code, "SCHEMA_MISMATCH");
}

TEST(Schema, WhatTellsRowsApartStaysRequired) {
  Schema table, file;
  table.fields = {Column("id", TypeId::kInt, true), Column("n", TypeId::kInt, true)};
  AssignIds(table, 0);
  table.identifier_ids = {1};
  file.fields = {Column("id", TypeId::kInt, true)};
  EXPECT_TRUE(EvolveSchema(table, file, 2).ok());  // n may become optional
  file.fields = {Column("id", TypeId::kInt)};
  EXPECT_EQ(EvolveSchema(table, file, 2).error().code, "SCHEMA_MISMATCH");
}

TEST(Schema, AFileWithoutNullsFitsAColumnThatIsRequired) {
  FileFooter footer;
  footer.schema.fields = {Column("a", TypeId::kInt), Column("b", TypeId::kInt),
                          Column("c", TypeId::kInt)};
  for (const char* name : {"a", "b", "c"}) {
    footer.leaves.emplace_back();
    footer.leaves.back().names = {name};
  }
  footer.leaves[0].stats.nulls = 0;
  footer.leaves[1].stats.nulls = 1;  // of the third it is not known
  const Schema schema = SchemaWithoutNulls(footer);
  EXPECT_TRUE(schema.fields[0].required);
  EXPECT_FALSE(schema.fields[1].required || schema.fields[2].required);
}

TEST(Partition, Trap20FoldersHaveSafeNamesOnly) {
  Schema schema;
  schema.fields = {Column("ts", TypeId::kTimestamptz), Column("region", TypeId::kString)};
  AssignIds(schema, 0);
  const auto spec = ParsePartitioning("hour(ts), region", schema);
  ASSERT_TRUE(spec.ok());
  std::string hour;
  AppendLe<int32_t>(hour, 491'678);
  EXPECT_EQ(PartitionPath(*spec, schema, {hour, "a:b c%/é"}).value(),
            "ts_hour=2026-02-02-14/region=a_b_c____");
  EXPECT_EQ(PartitionPath(*spec, schema, {hour, std::nullopt}).value(),
            "ts_hour=2026-02-02-14/region=__HIVE_DEFAULT_PARTITION__");
  EXPECT_FALSE(ParsePartitioning("hour(region)", schema).ok());
  EXPECT_FALSE(ParsePartitioning("bucket[4](region)", schema).ok());
  EXPECT_FALSE(ParsePartitioning("nothing", schema).ok());
}

iceberg::TableMetadata Metadata() {
  iceberg::NewTable table;
  table.uuid = "0a8509aa-d74c-4f3b-9602-114cda203950";
  table.location = "/lake/catalog/t";
  table.schema.fields = {Column("ts", TypeId::kTimestamptz, true), Column("id", TypeId::kString)};
  AssignIds(table.schema, 0);
  table.spec = ParsePartitioning("hour(ts)", table.schema).value();
  table.order = ParseSorting("ts,id desc", table.schema).value();
  table.now_ms = 1000;
  return iceberg::CreateMetadata(std::move(table));
}

TEST(Metadata, MembersOfOthersAreKept) {
  std::string json = iceberg::WriteMetadata(Metadata());
  json.insert(json.size() - 1, R"(,"statistics":[{"snapshot-id":5}],"x-unknown":{"a":[1,2]})");
  const auto parsed = iceberg::ParseMetadata(json);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  const std::string again = iceberg::WriteMetadata(*parsed);
  EXPECT_NE(again.find(R"("statistics":[{"snapshot-id":5}])"), std::string::npos);
  EXPECT_NE(again.find(R"("x-unknown":{"a":[1,2]})"), std::string::npos);
}

TEST(Metadata, EveryCutIsRefused) {
  const std::string json = iceberg::WriteMetadata(Metadata());
  for (size_t size = 0; size < json.size(); ++size) {
    EXPECT_FALSE(iceberg::ParseMetadata(json.substr(0, size)).ok()) << size;
  }
}

TEST(Metadata, Trap16WhatOnlyJavaNoticesIsCheckedBeforeItIsWritten) {
  const auto none = [](const std::string&) -> Result<std::string> {
    return MakeError(ErrorKind::kNotFound, "nothing is read");
  };
  iceberg::Change change;
  change.snapshot_id = iceberg::NewSnapshotId(12345);
  change.commit_id = "c";
  const iceberg::TableMetadata base = Metadata();
  const auto built = iceberg::BuildCommit(base, "/lake/v1", change, {}, none);
  ASSERT_TRUE(built.ok()) << built.error().message;
  const iceberg::TableMetadata& good = built->next;
  EXPECT_TRUE(iceberg::CheckMetadata(good, &base).ok());
  auto bad = good;
  bad.last_sequence_number = 0;
  EXPECT_FALSE(iceberg::CheckMetadata(bad, nullptr).ok());
  bad = good;
  bad.refs["main"].snapshot_id = 5;
  EXPECT_FALSE(iceberg::CheckMetadata(bad, nullptr).ok());
  bad = good;
  bad.uuid.clear();
  EXPECT_FALSE(iceberg::CheckMetadata(bad, nullptr).ok());
  bad = good;
  bad.last_partition_id = 0;
  EXPECT_FALSE(iceberg::CheckMetadata(bad, nullptr).ok());
  bad = good;
  bad.orders.clear();
  EXPECT_FALSE(iceberg::CheckMetadata(bad, nullptr).ok());
  bad = good;
  bad.snapshots[0].summary.clear();
  EXPECT_FALSE(iceberg::CheckMetadata(bad, nullptr).ok());
  bad = good;
  bad.last_updated_ms = -100'000;
  EXPECT_FALSE(iceberg::CheckMetadata(bad, nullptr).ok());
  bad = good;
  bad.snapshots[0].parent_id = 9;
  EXPECT_FALSE(iceberg::CheckMetadata(bad, &base).ok());
}

TEST(Metadata, Trap15SnapshotIdsArePositiveRandomAndLargerThanADoubleCounts) {
  for (const uint64_t random : {uint64_t{0}, uint64_t{1}, UINT64_MAX, uint64_t{1} << 63}) {
    EXPECT_GT(iceberg::NewSnapshotId(random), int64_t{1} << 52);
  }
}

TEST(Metadata, AClockThatGoesBackDoesNotTakeTheTableWithIt) {
  iceberg::TableMetadata base = Metadata();
  base.last_updated_ms = 5'000'000;
  EXPECT_EQ(iceberg::Follow(base, "x", 1000).last_updated_ms, 5'000'000);
}

TEST(Delta, Trap23APathInTwoActionsOfOneCommitIsRefused) {
  delta::Commit commit;
  delta::Add add;
  add.path = "data/a.parquet";
  delta::Remove remove;
  remove.path = add.path;
  commit.adds = {add};
  commit.removes = {remove};
  EXPECT_FALSE(delta::WriteCommit(commit).ok());
  commit.removes.clear();
  commit.adds.push_back(add);
  EXPECT_FALSE(delta::WriteCommit(commit).ok());
}

TEST(Delta, Trap27PathsAreUrisAndCommitsHaveNoBlankLine) {
  EXPECT_EQ(delta::EncodePath("data/a b%c:d=1/x.parquet"), "data/a%20b%25c%3Ad=1/x.parquet");
  EXPECT_EQ(delta::DecodePath("a%20b%25c"), "a b%c");
  EXPECT_EQ(delta::DecodePath("a%2"), std::nullopt);
  EXPECT_EQ(delta::DecodePath("a%zz"), std::nullopt);
  Schema schema;
  schema.fields = {Column("a", TypeId::kString)};
  AssignIds(schema, 0);
  const auto text = delta::WriteCommit(delta::CreateCommit("i", "t", schema, {}, "c", 1).value());
  EXPECT_EQ(text->find("\n\n"), std::string::npos);
  EXPECT_FALSE(text->ends_with("\n"));
}

TEST(Delta, Trap26StatisticsAreIsoTimesAndOmitTextThatWasCut) {
  Schema schema;
  schema.fields = {Column("ts", TypeId::kTimestamptz), Column("s", TypeId::kString),
                   Column("d", TypeId::kDouble)};
  schema.fields.push_back(Column("m", TypeId::kDecimal));
  schema.fields[3].type.precision = 10, schema.fields[3].type.scale = 2;
  AssignIds(schema, 0);
  DataFile file;
  file.rows = 3;
  ColumnStats ts, s, d, m;
  ts.field_id = 1, s.field_id = 2, d.field_id = 3, m.field_id = 4;
  ts.lower = Le64(1'770'040'800'000'001), ts.upper = Le64(1'770'040'800'000'001);
  s.lower = "aaa", s.upper = "b", s.upper_is_value = false;
  s.nulls = 1;
  d.lower = d.upper = std::string("\0\0\0\0\0\0\xf0\x3f", 8);
  m.lower = BigEndianOf(-5), m.upper = BigEndianOf(12'345);
  file.columns = {ts, s, d, m};
  EXPECT_EQ(delta::StatsJson(file, schema),
            R"({"numRecords":3,"minValues":{"ts":"2026-02-02T14:00:00.000Z","s":"aaa","d":1.0,)"
            R"("m":-0.05},"maxValues":{"ts":"2026-02-02T14:00:00.001Z","d":1.0,"m":123.45},)"
            R"("nullCount":{"s":1}})");
}

TEST(Delta, ATableWithPartitionColumnsTakesNoFilesButGivesThemUp) {
  Schema schema;
  schema.fields = {Column("id", TypeId::kLong), Column("w", TypeId::kString)};
  delta::Commit first = delta::CreateCommit("i", "t", schema, {}, "c", 1).value();
  first.table->partition_columns = {"w"};
  delta::Add theirs;
  theirs.path = "w=eu/a.parquet";
  theirs.partition = {{"w", "eu"}};
  first.adds = {theirs};
  delta::State state;
  ASSERT_TRUE(state.Apply(0, first).ok());
  delta::Change change;
  change.removes = {theirs.path};
  const auto removed = delta::BuildCommit(state, change, 1);
  ASSERT_TRUE(removed.ok()) << removed.error().message;
  EXPECT_EQ(removed->commit.removes[0].partition, theirs.partition);
  change.adds.emplace_back();
  change.adds[0].path = "b.parquet";
  const auto refused = delta::BuildCommit(state, change, 1);
  EXPECT_EQ(refused.error().code, "PARTITIONING_UNSUPPORTED");
  EXPECT_NE(refused.error().message.find("'w'"), std::string::npos);
  change.txn = delta::Txn{.app_id = "done", .version = 1, .updated_ms = {}};
  state.txns["done"] = *change.txn;
  EXPECT_TRUE(delta::BuildCommit(state, change, 1)->already_done) << "before there were any";
}

TEST(Delta, ProtocolsThatAreNotOursAreRefused) {
  delta::Protocol protocol;
  EXPECT_TRUE(delta::CheckWriterProtocol(protocol).ok());
  protocol.reader = 3, protocol.writer = 7;
  protocol.reader_features = {"deletionVectors"};
  EXPECT_EQ(delta::CheckReaderProtocol(protocol).error().code, "UNSUPPORTED_PROTOCOL");
  EXPECT_EQ(delta::CheckWriterProtocol(protocol).error().code, "UNSUPPORTED_PROTOCOL");
  const auto commit = delta::ParseCommit(
      R"({"add":{"path":"a","size":1,"dataChange":true,"deletionVector":{"storageType":"u"}}})");
  EXPECT_EQ(commit.error().code, "UNSUPPORTED_PROTOCOL");
}

TEST(Delta, AProtocolThatBindsWritersOnlyIsRead) {
  delta::Protocol protocol;
  for (const int32_t writer : {3, 4, 6, 8}) {
    protocol.writer = writer;
    EXPECT_TRUE(delta::CheckReaderProtocol(protocol).ok()) << writer;
    EXPECT_EQ(delta::CheckWriterProtocol(protocol).error().code, "UNSUPPORTED_PROTOCOL") << writer;
  }
  protocol.writer = 7;
  protocol.writer_features = {"appendOnly", "invariants"};
  EXPECT_TRUE(delta::CheckWriterProtocol(protocol).ok());
  protocol.writer_features.push_back("changeDataFeed");
  EXPECT_TRUE(delta::CheckReaderProtocol(protocol).ok());
  EXPECT_NE(delta::CheckWriterProtocol(protocol).error().message.find("changeDataFeed"),
            std::string::npos);
  protocol.reader = 2;
  EXPECT_EQ(delta::CheckReaderProtocol(protocol).error().code, "UNSUPPORTED_PROTOCOL");
}

}  // namespace
}  // namespace varve::table
