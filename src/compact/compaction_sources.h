// What becomes of the sources in the end.
#pragma once

#include "compact/compaction_run.h"

namespace varve::compact {

std::vector<SourceOutcome> OutcomesOf(const CompactionRequest& request,
                                      const CompactionState& state);

// Reads the taken sources that stay for a while and whose ETag is not made of their bytes, and puts
// their contents into the state. One that has other bytes by now gets none.
Status FindContents(CompactionRun& run);
std::vector<SourceContent> ContentsOf(const CompactionRequest& request,
                                      const CompactionState& state);

// Deletes each source whose rows are in the target and whose bytes are still those that were taken,
// or the same put again, unless a snapshot that the table keeps needs it: that one goes when the
// snapshot has expired.
Status DeleteSources(CompactionRun& run);

}  // namespace varve::compact
