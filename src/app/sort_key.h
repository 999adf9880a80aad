// A sort column as the command line has it.
#pragma once

#include <string>

#include "merge/merge.h"

namespace varve::app {

// "ts", "ts:desc", "ts:desc:nulls-first". A column's own name may have colons, and end in such a
// word: "a:desc:asc" is the column a:desc.
merge::SortKey ParseSortKey(const std::string& text);

}  // namespace varve::app
