// Event rows out of the journal's records and NDJSON files, as a row source.
#pragma once

#include <memory>
#include <vector>

#include "query/row_scan.h"
#include "query/snapshot.h"

namespace varve::query {

// The table's hot and ndjson parts; it and warnings outlive the source.
std::unique_ptr<RowSource> MakeEventRows(const TableSnapshot& table, uint32_t threads,
                                         ScanWarnings* warnings);

}  // namespace varve::query
