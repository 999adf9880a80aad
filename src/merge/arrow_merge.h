// The merge for what has no place in the encoded domain: repeated columns, and groups that some of
// the inputs have otherwise. The order is the same KeyOrder's; Arrow's reader and writer move the
// rows.
#pragma once

#include <string>
#include <vector>

#include "core/result.h"
#include "merge/key_block.h"
#include "merge/merge.h"
#include "merge/task_pool.h"

namespace varve::merge {

Result<std::vector<MergedFile>> MergeByArrow(const InputSet& inputs,
                                             const std::vector<KeyColumn>& keys,
                                             const std::string& output, TaskPool& pool,
                                             const MergeOptions& options);

}  // namespace varve::merge
