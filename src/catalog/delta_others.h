// What other programs have committed to a table's Delta log. Where Iceberg is first, nobody would
// see it there: it is found by the commits' own words, and taken into Iceberg (iceberg_mirror.h).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "catalog/delta_tables.h"
#include "catalog/iceberg_tables.h"
#include "table/iceberg/metadata.h"

namespace varve::catalog {

// An Iceberg property: the version up to which others' commits have been taken.
inline constexpr const char* kTakenFromDeltaProperty = "varve.taken-from-delta";
int64_t TakenFromDelta(const table::iceberg::TableMetadata& metadata);  // -1: none were

struct OthersCommits {
  size_t count = 0;  // that changed files or columns
  int64_t first = -1, last = -1;
  std::map<std::string, table::delta::Add> added;  // by path, as in the log, and live still
  std::set<std::string> removed;                   // likewise, and not live
};

// Behind version `taken` and our own last commit that was made in the knowledge of all before it.
// kInvalid, DELTA_CHANGED: too many to be looked through.
inline constexpr size_t kOthersCommitsMax = 10'000;
Result<OthersCommits> FindOthersCommits(DeltaTables& delta, const std::string& name,
                                        const table::delta::State& log, int64_t taken);

// kRetryable, DELTA_CHANGED: there are some that Iceberg does not have yet, so that what follows
// from Iceberg alone would undo them. log: loaded before Iceberg's head will be.
Status CheckNoOthers(IcebergTables& iceberg, DeltaTables& delta, const std::string& name,
                     const table::delta::State& log);

}  // namespace varve::catalog
