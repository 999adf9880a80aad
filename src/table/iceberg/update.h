// A commit as Iceberg's REST catalog API states it: what must hold of the table, and what is then
// done to its metadata. Served to other programs' clients, and sent to other programs' catalogs.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "table/iceberg/metadata.h"

namespace varve::table::iceberg {

struct Requirement {
  enum class Kind : uint8_t {
    kCreate,       // there is no table
    kUuid,         // text
    kRef,          // text: the ref's name; number: its snapshot, nothing: there is no such ref
    kLastFieldId,  // number, as in all that follow
    kCurrentSchemaId,
    kLastPartitionId,
    kDefaultSpecId,
    kDefaultOrderId,
  };
  Kind kind = Kind::kCreate;
  std::string text;
  std::optional<int64_t> number;
};

struct Update {
  enum class Kind : uint8_t {
    kAssignUuid,        // text
    kUpgradeFormat,     // number
    kAddSchema,         // schema
    kSetCurrentSchema,  // number; -1: the last one added
    kAddSpec,           // spec; a field's id is -1 where it is to be given
    kSetDefaultSpec,    // number, likewise
    kAddOrder,          // order
    kSetDefaultOrder,   // number, likewise
    kAddSnapshot,       // snapshot
    kSetRef,            // text: its name; ref
    kRemoveSnapshots,   // ids
    kRemoveRef,         // text
    kSetLocation,       // text; only to where the table is
    kSetProperties,     // properties
    kRemoveProperties,  // names
    kSetStatistics,     // text: the file's JSON; number: its snapshot
    kRemoveStatistics,  // number
    kSetPartitionStatistics,
    kRemovePartitionStatistics,
    kRemoveSpecs,  // ids
    kRemoveSchemas,
  };
  Kind kind = Kind::kAssignUuid;
  std::string text;
  int64_t number = 0;
  std::vector<int64_t> ids;
  std::vector<std::string> names;
  std::map<std::string, std::string> properties;
  Schema schema;
  PartitionSpec spec;
  SortOrder order;
  Snapshot snapshot;
  Ref ref;
};

struct CommitRequest {
  std::vector<Requirement> requirements;
  std::vector<Update> updates;

  bool creates() const;  // requires that there is no table
  bool Has(Update::Kind kind) const;
};

inline constexpr size_t kRequestBytesMax = size_t{16} << 20;
inline constexpr size_t kUpdatesMax = 10'000;

// kInvalid, BAD_REQUEST: names the member that is missing, of another type or not known.
Result<CommitRequest> ParseCommitRequest(std::string_view json);
std::string WriteCommitRequest(const CommitRequest& request);

// kConflict, REQUIREMENT_FAILED. base: nullptr where there is no table.
Status CheckRequirements(const std::vector<Requirement>& requirements, const TableMetadata* base);

// A table that the first commit is yet to make.
struct NewPlace {
  std::string location;
  std::string uuid;  // unless one is assigned
};

// The next metadata. kInvalid, BAD_UPDATE: cannot be done to this table. kConflict, BASE_CHANGED:
// could have been done to an earlier one. What begins with "varve." among the properties is a
// writer's own, and set only with its snapshots.
Result<TableMetadata> ApplyUpdates(const TableMetadata& base, const std::string& base_location,
                                   const std::vector<Update>& updates, int64_t now_ms);
Result<TableMetadata> ApplyUpdates(const NewPlace& place, const std::vector<Update>& updates,
                                   int64_t now_ms);

// The request that makes next of base, while nobody else has changed it.
CommitRequest RequestBetween(const TableMetadata& base, const TableMetadata& next);

struct CreateRequest {
  std::string name;
  NewTable table;  // its location is what was asked for, or empty; ids are given anew
  bool stage_only = false;
};
Result<CreateRequest> ParseCreateRequest(std::string_view json);
std::string WriteCreateRequest(const CreateRequest& request);

// Without the snapshots that no ref names, which a client may load later.
TableMetadata WithReferencedSnapshots(TableMetadata metadata);

// The files that "statistics" and "partition-statistics" name.
std::vector<std::string> StatisticsFiles(const TableMetadata& metadata);

}  // namespace varve::table::iceberg
