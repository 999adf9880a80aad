// Whether each row of a statement's answer comes of one row of its only table: then the answer over
// more files is the answer over the old ones and that over the new ones, and nothing else.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>

namespace varve::query {

struct RowWise {
  std::string why_not;              // empty: by its form it is
  std::set<std::string> functions;  // that it calls; whether they always give the same is not asked
};

// Of one statement in DuckDB's parse tree, without defaults. What is not known to be row-wise is
// not.
RowWise RowWiseOf(const nlohmann::json& statement);

}  // namespace varve::query
