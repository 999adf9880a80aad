// Commit requests of Iceberg's REST API: read, written, checked, done to a table's metadata.
#include "table/iceberg/update.h"

#include <gtest/gtest.h>

#include "table/iceberg/commit.h"
#include "table/iceberg/name_mapping.h"

namespace varve::table::iceberg {
namespace {

TableMetadata Base() {
  NewTable table;
  table.uuid = "aaaa-BBBB";
  table.location = "/lake/t";
  table.now_ms = 1000;
  for (const char* name : {"a", "b"}) {
    Field field;
    field.name = name;
    field.type.id = TypeId::kLong;
    table.schema.fields.push_back(std::move(field));
  }
  AssignIds(table.schema, 0);
  return CreateMetadata(std::move(table));
}

std::string SnapshotText(int64_t id, int64_t sequence, const std::string& parent) {
  return R"({"action":"add-snapshot","snapshot":{"snapshot-id":)" + std::to_string(id) + parent +
         R"(,"sequence-number":)" + std::to_string(sequence) +
         R"(,"timestamp-ms":2000,"manifest-list":"/lake/t/l","summary":{"operation":"append"}}})";
}

std::string MainText(int64_t id) {
  return R"({"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":)" +
         std::to_string(id) + "}";
}

Result<TableMetadata> Apply(const TableMetadata& base, const std::string& updates,
                            const std::string& requirements = "") {
  const CommitRequest request = TRY(ParseCommitRequest(R"({"requirements":[)" + requirements +
                                                       R"(],"updates":[)" + updates + "]}"));
  // What we would send is what we have read.
  const CommitRequest again = TRY(ParseCommitRequest(WriteCommitRequest(request)));
  EXPECT_EQ(WriteCommitRequest(again), WriteCommitRequest(request));
  TRY(CheckRequirements(request.requirements, &base));
  return ApplyUpdates(base, "/lake/t/metadata/v1.metadata.json", request.updates, 3000);
}

TableMetadata WithOneSnapshot() {
  return Apply(Base(), SnapshotText(11, 1, "") + "," + MainText(11)).value();
}

std::string CodeOf(const Result<TableMetadata>& result) {
  return result.ok() ? "done" : result.error().code;
}

TEST(Requirements, HoldOfTheTableOrTheCommitConflicts) {
  const TableMetadata base = WithOneSnapshot();
  const struct {
    const char* text;
    const char* code;
  } cases[] = {
      {R"({"type":"assert-create"})", "REQUIREMENT_FAILED"},
      {R"({"type":"assert-table-uuid","uuid":"AAAA-bbbb"})", "done"},
      {R"({"type":"assert-table-uuid","uuid":"other"})", "REQUIREMENT_FAILED"},
      {R"({"type":"assert-ref-snapshot-id","ref":"main","snapshot-id":11})", "done"},
      {R"({"type":"assert-ref-snapshot-id","ref":"main","snapshot-id":12})", "REQUIREMENT_FAILED"},
      {R"({"type":"assert-ref-snapshot-id","ref":"main","snapshot-id":null})",
       "REQUIREMENT_FAILED"},
      {R"({"type":"assert-ref-snapshot-id","ref":"side","snapshot-id":null})", "done"},
      {R"({"type":"assert-last-assigned-field-id","last-assigned-field-id":2})", "done"},
      {R"({"type":"assert-last-assigned-field-id","last-assigned-field-id":3})",
       "REQUIREMENT_FAILED"},
      {R"({"type":"assert-current-schema-id","current-schema-id":0})", "done"},
      {R"({"type":"assert-current-schema-id","current-schema-id":1})", "REQUIREMENT_FAILED"},
      {R"({"type":"assert-last-assigned-partition-id","last-assigned-partition-id":999})", "done"},
      {R"({"type":"assert-default-spec-id","default-spec-id":0})", "done"},
      {R"({"type":"assert-default-sort-order-id","default-sort-order-id":7})",
       "REQUIREMENT_FAILED"},
      {R"({"type":"assert-luck"})", "BAD_REQUEST"},
      {R"({"type":"assert-default-spec-id"})", "BAD_REQUEST"},
      {R"(7)", "BAD_REQUEST"},
  };
  for (const auto& [text, code] : cases) EXPECT_EQ(CodeOf(Apply(base, "", text)), code) << text;
}

TEST(Updates, OfSchemasSpecsAndOrdersGiveTheNextIdsAndFindWhatIsThere) {
  const std::string schema =
      R"({"action":"add-schema","schema":{"type":"struct","schema-id":77,"identifier-field-ids":[1],
          "fields":[{"id":1,"name":"a2","required":true,"type":"long","doc":"was a"},
                    {"id":2,"name":"b","required":false,"type":"long"},
                    {"id":3,"name":"c","required":false,"type":"string"}]}})";
  const auto next = Apply(Base(), schema + R"(,{"action":"set-current-schema","schema-id":-1},
          {"action":"add-spec","spec":{"fields":[
             {"source-id":3,"transform":"identity","name":"c"}]}},
          {"action":"set-default-spec","spec-id":-1},
          {"action":"add-sort-order","sort-order":{"order-id":9,"fields":[{"source-id":1,
             "transform":"identity","direction":"asc","null-order":"nulls-first"}]}},
          {"action":"set-default-sort-order","sort-order-id":-1})");
  ASSERT_TRUE(next.ok()) << next.error().message;
  EXPECT_EQ(next->current_schema_id, 1);
  EXPECT_EQ(next->last_column_id, 3);
  EXPECT_EQ(next->schema().identifier_ids, std::vector<int32_t>{1});
  EXPECT_EQ(next->spec().id, 1);
  EXPECT_EQ(next->spec().fields[0].field_id, 1000);
  EXPECT_EQ(next->order().id, 1);
  // A renamed column keeps its old name for files without ids.
  EXPECT_NE(next->properties.at(kNameMapping).find(R"(["a2","a"])"), std::string::npos);
  const auto written = ParseMetadata(WriteMetadata(*next));
  ASSERT_TRUE(written.ok());
  EXPECT_EQ(written->schema().fields[0].doc, "was a");
  const auto again = Apply(*next, schema + R"(,{"action":"set-current-schema","schema-id":-1})");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->schemas.size(), 2u);
}

TEST(Updates, OfSnapshotsFollowTheCurrentOne) {
  const TableMetadata base = WithOneSnapshot();
  EXPECT_EQ(base.snapshot_log.size(), 1u);
  const std::string parent = R"(,"parent-snapshot-id":11)";
  // Two at once, as an overwrite is a delete and an append.
  const auto two =
      Apply(base, SnapshotText(12, 2, parent) + "," + MainText(12) + "," +
                      SnapshotText(13, 3, R"(,"parent-snapshot-id":12)") + "," + MainText(13));
  ASSERT_TRUE(two.ok()) << two.error().message;
  EXPECT_EQ(two->current_snapshot_id, 13);
  EXPECT_EQ(two->snapshot_log.size(), 2u);  // 12 was current for nobody
  EXPECT_EQ(CodeOf(Apply(*two, MainText(11))), "done");
  EXPECT_EQ(CodeOf(Apply(*two, SnapshotText(14, 4, parent) + "," + MainText(14))), "BASE_CHANGED");
  EXPECT_EQ(CodeOf(Apply(*two, SnapshotText(14, 4, "") + "," + MainText(14))), "BASE_CHANGED");
  EXPECT_EQ(CodeOf(Apply(*two, SnapshotText(14, 3, ""))), "BASE_CHANGED");
  EXPECT_EQ(CodeOf(Apply(*two, SnapshotText(13, 9, ""))), "BAD_UPDATE");
  EXPECT_EQ(CodeOf(Apply(*two, SnapshotText(-3, 4, ""))), "BAD_UPDATE");
  EXPECT_EQ(CodeOf(Apply(*two, SnapshotText(14, INT64_MAX, ""))), "BAD_UPDATE");
  // A table that is replaced begins anew.
  EXPECT_EQ(CodeOf(Apply(*two, R"({"action":"remove-snapshot-ref","ref-name":"main"},)" +
                                   SnapshotText(14, 4, "") + "," + MainText(14))),
            "done");
  const auto expired = Apply(*two, R"({"action":"remove-snapshots","snapshot-ids":[11]})");
  ASSERT_TRUE(expired.ok()) << expired.error().message;
  EXPECT_EQ(expired->snapshots.size(), 2u);
  EXPECT_EQ(CodeOf(Apply(*two, R"({"action":"remove-snapshots","snapshot-ids":[13]})")),
            "BAD_UPDATE");
}

TEST(Updates, OfStatisticsReplaceTheSnapshotsOwn) {
  const std::string set =
      R"({"action":"set-statistics","statistics":{"snapshot-id":11,"statistics-path":"/s%",
          "file-size-in-bytes":1,"file-footer-size-in-bytes":1,"blob-metadata":[]}})";
  const auto at = [&](char c) { return std::string(set).replace(set.find('%'), 1, 1, c); };
  const auto next = Apply(WithOneSnapshot(), at('1') + "," + at('2'));
  ASSERT_TRUE(next.ok()) << next.error().message;
  EXPECT_EQ(StatisticsFiles(*next), std::vector<std::string>{"/s2"});
  const auto gone = Apply(*next, R"({"action":"remove-statistics","snapshot-id":11})");
  EXPECT_TRUE(StatisticsFiles(*gone).empty());
}

TEST(Updates, ThatCannotBeAreRefused) {
  const TableMetadata base = WithOneSnapshot();
  for (const char* text : {
           R"({"action":"assign-uuid","uuid":"other"})",
           R"({"action":"set-location","location":"/elsewhere"})",
           R"({"action":"upgrade-format-version","format-version":3})",
           R"({"action":"upgrade-format-version","format-version":1})",
           R"({"action":"set-current-schema","schema-id":-1})",
           R"({"action":"set-default-spec","spec-id":4})",
           R"({"action":"remove-schemas","schema-ids":[0]})",
           R"({"action":"remove-partition-specs","spec-ids":[0]})",
           R"({"action":"set-snapshot-ref","ref-name":"main","type":"tag","snapshot-id":11})",
           R"({"action":"set-snapshot-ref","ref-name":"x","type":"tag","snapshot-id":99})",
           R"({"action":"set-properties","updates":{"varve.hwm.s":"4"}})",
           R"({"action":"remove-properties","removals":["varve.hwm.s"]})",
           R"({"action":"add-spec","spec":{"fields":[
                {"source-id":9,"transform":"day","name":"d"}]}})",
       }) {
    EXPECT_EQ(CodeOf(Apply(base, text)), "BAD_UPDATE") << text;
  }
  for (const char* text : {R"({"action":"fly"})", R"({})", R"([])", R"({"action":"add-schema"})",
                           R"({"action":"set-properties","updates":{"a":1}})",
                           R"({"action":"remove-snapshots","snapshot-ids":["11"]})"}) {
    EXPECT_EQ(CodeOf(Apply(base, text)), "BAD_REQUEST") << text;
  }
  EXPECT_EQ(CodeOf(Apply(base, R"({"action":"set-location","location":"/lake/t/"})")), "done");
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_FALSE(ParseCommitRequest(deep).ok());
  EXPECT_FALSE(ParseCommitRequest(R"({"requirements":[],"updates":)" + deep + "}").ok());
}

TEST(Updates, BetweenTwoMetadataMakeTheOneOfTheOther) {
  const TableMetadata base = WithOneSnapshot();
  TableMetadata next =
      Apply(base, SnapshotText(12, 2, R"(,"parent-snapshot-id":11)") + "," + MainText(12) +
                      R"(,{"action":"set-properties","updates":{"a":"b"}})")
          .value();
  const CommitRequest request = RequestBetween(base, next);
  ASSERT_TRUE(CheckRequirements(request.requirements, &base).ok());
  const auto made = ApplyUpdates(base, "/lake/t/metadata/v1.metadata.json", request.updates, 3000);
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(WriteMetadata(*made), WriteMetadata(next));
  EXPECT_TRUE(RequestBetween(next, *made).updates.empty());
  EXPECT_FALSE(CheckRequirements(request.requirements, &next).ok());
}

TEST(Updates, MakeANewTableWithWhatItWasNotTold) {
  const auto request = ParseCommitRequest(
      R"({"requirements":[{"type":"assert-create"}],"updates":[
          {"action":"assign-uuid","uuid":"u"},
          {"action":"upgrade-format-version","format-version":2},
          {"action":"add-schema","schema":{"type":"struct","fields":[
            {"id":1,"name":"a","required":false,"type":"long"}]}},
          {"action":"set-current-schema","schema-id":-1}]})");
  ASSERT_TRUE(request.ok() && request->creates());
  const auto made = ApplyUpdates(NewPlace{"/lake/n", "x"}, request->updates, 5000);
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(made->uuid, "u");
  EXPECT_EQ(made->last_partition_id, 999);
  EXPECT_EQ(made->orders.size(), 1u);
  EXPECT_FALSE(ApplyUpdates(NewPlace{"/lake/n", "x"}, {}, 5000).ok());
}

}  // namespace
}  // namespace varve::table::iceberg
