// How a view that is kept incrementally is brought up to date: a rule over what its output has, and
// what one snapshot has. The output is the answer over its files' rows, so the answer over the
// snapshot is the output and the answer over the new writers' files, if
//
// 1. nothing else the answer hangs on has changed: statement, columns, build;
// 2. no row has gone: each table file of the output is there; each of its writers' files is there
//    with the same bytes, or its rows are in such a table file (it is settled), or in a new one;
// 3. no row has come but by writers' files that are there: each new table file was compacted of
//    files that the output has, or that are read now. A file whose rows are in the table, and
//    that the output does not have, is of a new table file.
//
// Otherwise, and where it is not known, the whole statement runs.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "view/view_data.h"

namespace varve::view {

// What an output has, by the account that was saved with it.
struct Covered {
  struct Source {
    std::string etag;
    bool settled = false;  // its rows are those of one of `files`
  };
  std::map<std::string, Source> sources;  // by key
  std::set<std::string> files;            // the table's
};

struct RefreshPlan {
  enum class Type : uint8_t { kFull, kIncremental, kNothing };
  Type type = Type::kFull;
  std::string why;             // of a full one
  std::set<std::string> read;  // writers' files whose rows are new
  // What is to be changed in the account; of a full refresh it is made anew.
  struct NewSource {
    FileId id;
    bool settled = false;
  };
  std::vector<NewSource> new_sources;
  std::vector<std::string> settled_sources, gone_sources, new_files;
};

Result<RefreshPlan> PlanRefresh(const Covered& covered, ViewInput& input, size_t files_max);

}  // namespace varve::view
