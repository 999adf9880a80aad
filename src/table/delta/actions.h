// The actions of a Delta table's log, and a commit as lines of JSON. Protocol 1/2, and what of 3/7
// needs nothing of a reader but types (timestampNtz); what binds writers only is read as well.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "table/data_file.h"
#include "table/schema.h"

namespace varve::table::delta {

struct Protocol {
  int32_t reader = 1, writer = 2;
  std::vector<std::string> reader_features, writer_features;
};

struct TableInfo {  // the action `metaData`
  std::string id;
  std::string name, description;
  std::string schema_json;
  std::vector<std::string> partition_columns;
  std::map<std::string, std::string> configuration;
  std::optional<int64_t> created_ms;
};

using PartitionValues = std::map<std::string, std::optional<std::string>>;

struct Add {
  std::string path;  // as in the log: relative to the table's root, URI-encoded
  PartitionValues partition;
  int64_t bytes = 0, modified_ms = 0;
  bool data_change = true;
  std::string stats_json;  // empty: none
};

struct Remove {
  std::string path;  // the very bytes of its add
  PartitionValues partition;
  std::optional<int64_t> deleted_ms, bytes;
  bool data_change = true;
};

struct Txn {
  std::string app_id;
  int64_t version = 0;
  std::optional<int64_t> updated_ms;
};

struct Commit {
  std::string info_json;  // commitInfo: an object, or empty
  std::optional<Protocol> protocol;
  std::optional<TableInfo> table;
  std::vector<Txn> txns;
  std::vector<Add> adds;
  std::vector<Remove> removes;
};

inline constexpr size_t kCommitBytesMax = size_t{256} << 20;

// kCorrupt, BAD_COMMIT; kInvalid, UNSUPPORTED_PROTOCOL for an action that may not be passed over.
Result<Commit> ParseCommit(std::string_view lines);
// kInvalid, BAD_COMMIT: a path or an appId twice.
Result<std::string> WriteCommit(const Commit& commit);

// kInvalid, UNSUPPORTED_PROTOCOL: versions and features that are not ours to read.
Status CheckReaderProtocol(const Protocol& protocol);
// As above, or not ours to write: constraints and the like bind those alone who change the table.
Status CheckWriterProtocol(const Protocol& protocol);
Protocol ProtocolFor(const Schema& schema);
// What the table's is to be where it lacks a feature that the schema needs: none of its own goes.
std::optional<Protocol> ProtocolChange(const Protocol& old, const Schema& schema);

// kInvalid, UNSUPPORTED_TYPE: Delta has no time, uuid or fixed.
Result<std::string> SchemaToJson(const Schema& schema);
// Ids in the order of the fields, from 1.
Result<Schema> SchemaFromJson(std::string_view json);

// numRecords, minValues, maxValues, nullCount; of text only what was not cut.
std::string StatsJson(const DataFile& file, const Schema& schema);
std::optional<int64_t> RowsOf(const Add& add);

std::string EncodePath(std::string_view path);  // as a URI's
std::optional<std::string> DecodePath(std::string_view path);

}  // namespace varve::table::delta
