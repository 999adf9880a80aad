// What becomes of the sources in the end.
#pragma once

#include "compact/compaction_run.h"

namespace varve::compact {

std::vector<SourceOutcome> OutcomesOf(const CompactionRequest& request,
                                      const CompactionState& state);

// Deletes each source whose rows are in the target and whose bytes are still those that were taken,
// unless a snapshot that the table keeps needs it: that one goes when the snapshot has expired.
Status DeleteSources(CompactionRun& run);

}  // namespace varve::compact
