// An Iceberg v2 table's metadata file: parsed whole, checked, written back with whatever members it
// had that are not ours.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "table/partition.h"
#include "table/schema.h"

namespace varve::table::iceberg {

struct Snapshot {
  int64_t id = 0;
  std::optional<int64_t> parent_id;
  int64_t sequence_number = 0;
  int64_t timestamp_ms = 0;
  std::string manifest_list;
  std::optional<int32_t> schema_id;
  std::map<std::string, std::string> summary;  // "operation" is always there
};

struct LogEntry {
  int64_t timestamp_ms = 0;
  int64_t snapshot_id = 0;
};

struct MetadataLogEntry {
  int64_t timestamp_ms = 0;
  std::string file;
};

struct Ref {
  int64_t snapshot_id = 0;
  bool is_branch = true;
  std::map<std::string, int64_t> retention;  // max-ref-age-ms, …
};

struct TableMetadata {
  std::string uuid, location;
  int64_t last_sequence_number = 0, last_updated_ms = 0;
  int32_t last_column_id = 0, last_partition_id = kFirstPartitionFieldId - 1;
  std::vector<Schema> schemas;
  int32_t current_schema_id = 0;
  std::vector<PartitionSpec> specs;
  int32_t default_spec_id = 0;
  std::vector<SortOrder> orders;
  int32_t default_order_id = 0;
  std::map<std::string, std::string> properties;
  std::optional<int64_t> current_snapshot_id;
  std::vector<Snapshot> snapshots;
  std::vector<LogEntry> snapshot_log;
  std::vector<MetadataLogEntry> metadata_log;
  std::map<std::string, Ref> refs;
  std::string other_json;  // an object: members that are none of the above

  const Schema& schema() const;
  const PartitionSpec& spec() const;
  const PartitionSpec* FindSpec(int32_t id) const;
  const SortOrder& order() const;
  const Schema* FindSchema(int32_t id) const;
  const Snapshot* FindSnapshot(int64_t id) const;
  const Snapshot* current() const;  // nullptr: the table is empty
};

inline constexpr size_t kMetadataBytesMax = size_t{64} << 20;

// kCorrupt, BAD_METADATA; kInvalid, UNSUPPORTED_FORMAT_VERSION if it is not v2.
Result<TableMetadata> ParseMetadata(std::string_view json);
std::string WriteMetadata(const TableMetadata& metadata);

std::string SchemaJson(const Schema& schema);
std::string SpecFieldsJson(const PartitionSpec& spec);  // a manifest's header has the fields only

struct NewTable {
  std::string uuid, location;
  Schema schema;  // with ids
  PartitionSpec spec;
  SortOrder order;
  std::map<std::string, std::string> properties;
  int64_t now_ms = 0;
};

// A table without snapshots.
TableMetadata CreateMetadata(NewTable table);

// How far a metadata may be from the one it follows.
enum class Step : uint8_t {
  kOneSnapshot,  // a commit of ours
  kUpdates,      // others' updates: several snapshots, an older one made current
};

// What must hold of every metadata that we write, given the one it follows (if any): the first
// thing that does not. Readers notice some of it late, or never.
Status CheckMetadata(const TableMetadata& next, const TableMetadata* base,
                     Step step = Step::kOneSnapshot);

}  // namespace varve::table::iceberg
