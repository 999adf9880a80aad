// How many inputs can be merged at a time within the memory limit.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "merge/key_block.h"
#include "merge/merge.h"

namespace varve::merge {

// What is left of the memory limit for pages: of inputs that are read and of the output.
int64_t PageBudget(const MergeOptions& options);

// For a file that a later pass reads, and nobody else; small_pages: it holds one of each column.
MergeOptions TemporaryOptions(const MergeOptions& options, bool small_pages);

// Files [first, last) that are merged to one first, in the inputs' order, which keeps the merge
// stable; a single group: all at once. By the footers' bounds of the key, files whose ranges do
// not overlap are not in memory together; where a footer has no bounds, the file overlaps all.
std::vector<std::pair<uint32_t, uint32_t>> PassGroups(const InputSet& inputs, const KeyColumn& key,
                                                      const MergeOptions& options);

}  // namespace varve::merge
