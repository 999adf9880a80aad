// A table that there is gets another format over the same Parquet files; none is written anew.
//
//  1. What would make the new format wrong is refused, by name; nothing has been written by then.
//  2. The new format appears in one put, with all files of the old one's snapshot, while the
//  table's
//     maintenance lease is held, so that no cleaner deletes them meanwhile. From here on commits,
//     which look again which formats there are when they have done one, go to both.
//  3. It is made level (delta_mirror.h, iceberg_mirror.h): what commits added or removed that knew
//     the old format only. A commit of those was done before the new format appeared, and so is in
//     the snapshot that 3 loads; or after, and then it has found it.
//  4. Delta notes in its log that 3 was done. Iceberg needs no note: it follows the log for good.
//
// The old format stays the first: it is committed to first, and it is what our own readers read, so
// that they see every commit at any moment. Readers of the new one see a snapshot of it that is at
// most as old as the last step that was cut short; whoever commits next, or repeats the
// publication, brings it level. Each step finds itself done when it is repeated, by anybody, and
// two at once do no harm: every put is conditional on the head it was made for.
#pragma once

#include <functional>
#include <string>

#include "catalog/lake_tables.h"

namespace varve::catalog {

struct PublishOptions {
  bool accept_problems = false;  // columns that some readers get wrong
  std::function<bool()> stopped = {};
};

// kNotFound, NO_SUCH_TABLE. kConflict, LEASED: a cleaner is at work; later. kInvalid: the table
// cannot be published so; see CheckFitsDelta, BeginDelta, BeginIceberg; also COLUMN_CHANGED for a
// file that has a column otherwise than the table. Returns what the table has now.
Result<Formats> PublishTable(LakeTables& tables, const std::string& name, Formats wanted,
                             const PublishOptions& options);

}  // namespace varve::catalog
