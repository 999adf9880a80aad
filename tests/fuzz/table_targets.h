// What the fuzzer of the table module runs on each input; also replayed, from a seed, by the tests.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "core/clock.h"
#include "table/avro.h"
#include "table/delta/checkpoint.h"
#include "table/file_footer.h"
#include "table/iceberg/manifest.h"
#include "table/iceberg/metadata.h"
#include "table/iceberg/update.h"

namespace varve::table {

inline Schema FuzzSchema() {
  Schema schema;
  for (const TypeId type : {TypeId::kTimestamptz, TypeId::kString, TypeId::kDouble}) {
    Field field;
    field.name = "c" + std::to_string(schema.fields.size());
    field.type.id = type;
    schema.fields.push_back(std::move(field));
  }
  AssignIds(schema, 0);
  return schema;
}

inline PartitionSpec FuzzSpec() { return ParsePartitioning("hour(c0),c1", FuzzSchema()).value(); }

// A request that was read is read again from what is written of it, and what it makes of a table is
// metadata.
inline void FuzzCommitRequest(std::string_view input) {
  const auto request = iceberg::ParseCommitRequest(input);
  CHECK(request.ok() || request.error().kind == ErrorKind::kInvalid);
  if (!request.ok()) return;
  const std::string again = iceberg::WriteCommitRequest(*request);
  const auto twice = iceberg::ParseCommitRequest(again);
  CHECK(twice.ok());
  CHECK(iceberg::WriteCommitRequest(*twice) == again);
  iceberg::NewTable table;
  table.uuid = "u";
  table.location = "/lake/catalog/t";
  table.schema = FuzzSchema();
  table.spec = FuzzSpec();
  const iceberg::TableMetadata base = iceberg::CreateMetadata(std::move(table));
  (void)iceberg::CheckRequirements(request->requirements, &base);
  const auto next = iceberg::ApplyUpdates(base, "/lake/v1", request->updates, 1000);
  if (!next.ok()) return;
  CHECK(iceberg::ParseMetadata(iceberg::WriteMetadata(*next)).ok());
  CHECK(iceberg::CheckMetadata(*next, &base, iceberg::Step::kUpdates).ok());
}

// Any bytes may be a manifest, a list, metadata, a commit or a footer. What is taken is taken
// whole: metadata that was read is read again from what is written of it.
inline void FuzzTableBytes(std::string_view input) {
  const auto list = iceberg::ReadManifestList(input);
  CHECK(list.ok() || list.error().kind == ErrorKind::kCorrupt);
  const Schema schema = FuzzSchema();
  const PartitionSpec spec = FuzzSpec();
  const auto read = iceberg::ReadManifest(input, {}, spec, schema, iceberg::EntryDetail::kAll,
                                          [](iceberg::ManifestEntry&& entry) -> Status {
                                            CHECK(entry.sequence_number.has_value());
                                            return {};
                                          });
  CHECK(read.ok() || read.error().kind == ErrorKind::kCorrupt);
  const auto metadata = iceberg::ParseMetadata(input);
  if (metadata.ok()) {
    const std::string again = iceberg::WriteMetadata(*metadata);
    const auto twice = iceberg::ParseMetadata(again);
    CHECK(twice.ok());
    CHECK(iceberg::WriteMetadata(*twice) == again);
    (void)iceberg::CheckMetadata(*metadata, nullptr);
  }
  FuzzCommitRequest(input);
  const auto commit = delta::ParseCommit(input);
  if (commit.ok()) {
    delta::State state;
    (void)state.Apply(0, *commit);
    if (commit->table) (void)delta::SchemaFromJson(commit->table->schema_json);
  }
  const auto range = [&](uint64_t offset, uint64_t size) -> Result<std::string> {
    return std::string(input.substr(offset, size));
  };
  const auto footer = ReadFileFooter(range, input.size());
  if (footer.ok()) (void)DescribeFile(*footer, schema, {});
}

// Any bytes may be a checkpoint. A state that was read is written, and read again, as it is.
inline void FuzzCheckpoint(std::string_view input) {
  constexpr int64_t kLate = 1;  // no tombstone has expired by then
  const auto state = delta::ReadCheckpoint(input, 3);
  if (!state.ok()) {
    CHECK(state.error().kind == ErrorKind::kCorrupt || state.error().kind == ErrorKind::kInvalid);
    return;
  }
  CHECK(state->version == 3);
  for (const auto& [path, add] : state->files) CHECK(!path.empty() && path == add.path);
  (void)delta::SchemaFromJson(state->table.schema_json);
  const auto again = delta::WriteCheckpoint(*state, kLate);
  if (!again.ok()) return;
  const auto twice = delta::ReadCheckpoint(again->bytes, 3);
  CHECK(twice.ok());
  CHECK(twice->files.size() == state->files.size());
  CHECK(twice->table.schema_json == state->table.schema_json);
}

// A checkpoint of every sort of action.
inline std::string FuzzCheckpointSeed() {
  delta::State state;
  CHECK(state.Apply(0, delta::CreateCommit("id", "t", FuzzSchema(), {}, "c", 1).value()).ok());
  delta::Commit commit;
  for (const char* path : {"data/a.parquet", "data/b.parquet"}) {
    delta::Add add;
    add.path = path;
    add.bytes = 1000, add.modified_ms = 5;
    add.partition["region"] = "eu";
    add.stats_json = R"({"numRecords":10})";
    commit.adds.push_back(std::move(add));
  }
  delta::Remove remove;
  remove.path = "data/old.parquet";
  remove.deleted_ms = 5;
  commit.removes.push_back(std::move(remove));
  delta::Txn txn;
  txn.app_id = "writer", txn.version = 7;
  commit.txns.push_back(std::move(txn));
  CHECK(state.Apply(1, commit).ok());
  return delta::WriteCheckpoint(state, 10).value().bytes;
}

// One good input of each sort.
inline std::vector<std::string> FuzzSeeds() {
  const Schema schema = FuzzSchema();
  const PartitionSpec spec = FuzzSpec();
  std::vector<std::string> seeds;
  iceberg::ManifestWriter writer =
      iceberg::ManifestWriter::Begin(schema, spec, "0123456789abcdef").value();
  iceberg::ManifestEntry entry;
  entry.snapshot_id = 7;
  entry.file.path = "/lake/catalog/t/data/a.parquet";
  entry.file.bytes = 1000, entry.file.rows = 10;
  entry.file.partition = {std::string(4, '\1'), "eu"};
  entry.file.split_offsets = {4, 500};
  ColumnStats stats;
  stats.field_id = 2;
  stats.bytes = 100, stats.values = 10, stats.nulls = 0;
  stats.lower = "a", stats.upper = "b";
  entry.file.columns = {stats};
  CHECK(writer.Add(entry).ok());
  auto finished = std::move(writer).Finish(3).value();
  seeds.push_back(finished.bytes);
  iceberg::Snapshot snapshot;
  snapshot.id = 7;
  snapshot.summary["operation"] = "append";
  snapshot.manifest_list = "/lake/l.avro";
  seeds.push_back(
      iceberg::WriteManifestList({finished.file}, snapshot, "0123456789abcdef").value());
  iceberg::NewTable table;
  table.uuid = "u", table.location = "/lake/catalog/t";
  table.schema = schema, table.spec = spec;
  iceberg::TableMetadata metadata = iceberg::CreateMetadata(std::move(table));
  metadata.snapshots.push_back(snapshot);
  metadata.current_snapshot_id = 7;
  metadata.refs["main"].snapshot_id = 7;
  seeds.push_back(iceberg::WriteMetadata(metadata));
  const delta::Commit commit = delta::CreateCommit("id", "t", schema, {}, "c", 1).value();
  seeds.push_back(delta::WriteCommit(commit).value());
  seeds.push_back(R"({"requirements":[{"type":"assert-ref-snapshot-id","ref":"main",
    "snapshot-id":null}],"updates":[{"action":"add-schema","schema":{"type":"struct","schema-id":1,
    "fields":[{"id":4,"name":"d","required":false,"type":"long","doc":"x"}]}},
    {"action":"set-current-schema","schema-id":-1},
    {"action":"add-spec","spec":{"fields":[{"source-id":4,"transform":"identity","name":"d"}]}},
    {"action":"add-snapshot","snapshot":{"snapshot-id":9,"sequence-number":1,"timestamp-ms":5,
    "manifest-list":"/l","summary":{"operation":"append"}}},
    {"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":9},
    {"action":"set-statistics","statistics":{"snapshot-id":9,"statistics-path":"/s"}},
    {"action":"set-properties","updates":{"a":"b"}}]})");
  return seeds;
}

}  // namespace varve::table
