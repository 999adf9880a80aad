// Log rows out of the journal's tail records and raw NDJSON files, as a row source.
#pragma once

#include <memory>

#include "query/row_scan.h"
#include "query/snapshot.h"

namespace varve::query {

// The table's hot and ndjson parts; it and warnings outlive the source. A raw file's rows carry the
// ids that its compaction will give them: their origin is the file's key.
std::unique_ptr<RowSource> MakeLogRows(const TableSnapshot& table, uint32_t threads,
                                       ScanWarnings* warnings);

}  // namespace varve::query
