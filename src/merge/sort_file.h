// A file that is not sorted becomes one that is: in pieces that fit in memory, each sorted and
// written beside the output, then merged like any other files.
#pragma once

#include <string>
#include <vector>

#include "core/result.h"
#include "merge/key_block.h"
#include "merge/merge.h"
#include "merge/temp_files.h"

namespace varve::merge {

// Whether the file's rows are in the order of the keys.
Result<bool> IsSorted(const InputSet& inputs, const std::vector<KeyColumn>& keys, uint32_t file);

// Writes the file's rows as sorted files, whose paths are appended: in this order, their rows of
// equal keys are in the file's order.
Status SortFile(const InputSet& inputs, const std::vector<KeyColumn>& keys, uint32_t file,
                TempFiles& temp, const MergeOptions& options, std::vector<std::string>& written);

}  // namespace varve::merge
