// The commit of a compaction's outputs to its table, and what comes of it.
//
// The ids and the removed sources are the plan's and the seal's, so a commit that is repeated after
// a crash or a lost answer finds itself done. Nothing is deleted here.
#pragma once

#include "compact/compaction_run.h"

namespace varve::compact {

enum class Committed : uint8_t {
  kDone,
  // Another commit has taken a source out of the table, or its schema elsewhere. Nothing of this
  // one is in the table: the outputs are to be made anew.
  kSuperseded,
};

// Makes the table where there is none, and its schema fit. The step's detail says what was done.
Result<Committed> CommitOutputs(CompactionRun& run);

// Reads the outputs' footers again and looks for them in the table. kCorrupt, VERIFY_FAILED.
// Sources that the table has, although their rows are the outputs' now, are noted in state.late.
Status VerifyCommit(CompactionRun& run);

// Takes the late sources out of the table.
Status CommitLate(CompactionRun& run);

// From here on the commit cannot be done any more; kConflict, ALREADY_COMMITTED: it has been done,
// in one format at least. An attempt whose answer was lost loses against it, too.
Status FenceCommit(CompactionRun& run);

}  // namespace varve::compact
