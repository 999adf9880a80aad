// The merge of one batch: its sources become files in the work directory, each of one partition.
//
//  1. Sources that are no local files are fetched, and compared with what was pinned.
//  2. They are merged. A file that the merge finds damaged, or of types that no other has, is
//     quarantined, and the rest is merged again.
//  3. Sources that were replaced while they were read are left out, and the rest is merged again.
//  4. What was made is read back: its rows, its partition, and with it its place on the store.
// The same sources give the same files, so a merge that was interrupted is simply done again.
#pragma once

#include "compact/compaction_run.h"

namespace varve::compact {

// Of the next batch that is not done; the state has its outputs then. kRetryable, ROWS_DIFFER: the
// sources' rows are not those that their footers had when they were planned.
Result<std::string> MergeNextBatch(CompactionRun& run);

// Nothing of the compaction is left in the work directory.
void RemoveWorkFiles(const CompactionRun& run);

}  // namespace varve::compact
