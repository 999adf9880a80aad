// The merged files go to the store under their final keys, and are not changed from then on. A file
// that is there already is taken as it is: an earlier attempt has put it.
#pragma once

#include "compact/compaction_run.h"

namespace varve::compact {

enum class Sealed : uint8_t {
  kDone,
  kLost,  // merged files are gone; the state has no outputs then, and everything is merged again
};

Result<Sealed> SealOutputs(CompactionRun& run);

// Notes which sources the table has: they leave it by the commit that adds the outputs.
Status FindRemoved(CompactionRun& run);

// Takes what was made from the store and the work directory. Only while it is certain that no
// commit has it.
Status RemoveOutputs(CompactionRun& run);

}  // namespace varve::compact
