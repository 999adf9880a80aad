// Delta's log as a mirror of an Iceberg table: it has the files that Iceberg's snapshot has, and
// the txns of the commits that brought them, so that such a commit, done to Delta afterwards, finds
// itself done.
//
// A mirroring commit is made for one head of the log, and of an Iceberg snapshot that was loaded
// after it. Commits go to Iceberg first, so that snapshot has all that the log has; and one that
// comes between is rejected by the log's put-if-absent, and made anew.
#pragma once

#include <string>

#include "catalog/delta_tables.h"
#include "catalog/iceberg_tables.h"

namespace varve::catalog {

// In the log of a table that was Iceberg's before: how far its publication has come.
inline constexpr const char* kPublicationTxn = "varve.publication";
inline constexpr int64_t kPublicationBegun = 1, kPublicationLevel = 2;
// The log may lack commits: those that did not know of it as it was begun, or that were cut short
// between the formats, or those of other programs to Iceberg. Tells by what Iceberg's snapshot says
// of its files together. The log is the older of the two.
bool IsBehind(const table::delta::State& state, const table::iceberg::TableMetadata& metadata);

// Statistics beyond these are left out of a mirroring commit: it is held in memory, as its readers
// will hold it.
inline constexpr size_t kMirrorStatsBytesMax = size_t{96} << 20;

// A file as Delta's log has it. kInvalid, OUTSIDE_TABLE: it is not under the table's root.
Result<table::delta::Add> AddOf(const TablePlace& place, const table::DataFile& file,
                                const table::Schema& schema, int64_t now_ms);
Status CheckInside(const TablePlace& place, const std::string& key);  // kInvalid, OUTSIDE_TABLE

// Delta knows columns by their names, in one type for ever. kInvalid: UNSUPPORTED_TYPE;
// COLUMN_CHANGED for one that was renamed or widened, or made anew after it had been dropped.
Status CheckFitsDelta(const table::iceberg::TableMetadata& metadata);

// Version 0, with the files of the Iceberg table's snapshot; nothing if there is a log already.
// kInvalid: what CheckFitsDelta says; OUTSIDE_TABLE, DELETE_FILES_PRESENT, NOT_PARQUET,
// TOO_MANY_FILES. Then nothing has been written.
Status BeginDelta(IcebergTables& iceberg, DeltaTables& delta, const std::string& name);
// Makes the log say what Iceberg's snapshot says. A commit that is under way finds itself done
// then. kInvalid: what CheckFitsDelta says; kRetryable, DELTA_CHANGED: another program has just
// committed to the log.
Status LevelDelta(IcebergTables& iceberg, DeltaTables& delta, const std::string& name);

}  // namespace varve::catalog
