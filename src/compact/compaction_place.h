// Where a merged file goes.
#pragma once

#include "compact/compaction_run.h"

namespace varve::compact {

// Of merge::MergeOptions; 0: files are not split.
int64_t SplitMicros(PartitionBy partition_by);

// Of the number-th output, from 0. A table's: catalog/{table}/data/{partition}/{name}; a plain one:
// data/{ns}/year=…/month=…/day=…/hour=…/{name}, by its rows' time if it is of one partition, else
// by the window's start. name: compacted-{window start}-{workflow}-{number}.parquet.
Result<std::string> OutputKey(const CompactionRun& run, const table::FileFooter& footer,
                              size_t number);

}  // namespace varve::compact
