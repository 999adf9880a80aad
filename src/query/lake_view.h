// The SQL of a lake table's view: its columns over exact files, whatever each file's columns are
// called and however wide they are.
#pragma once

#include <span>
#include <string>

#include "query/table_view.h"

namespace varve::query {

// What DuckDB calls the type.
std::string SqlTypeOf(const table::Type& type);

// Sources add columns that the table does not have yet; those that cannot be read, or whose columns
// are of other types, are left out with a warning. kCorrupt, CORRUPT_OBJECT: a file of the table
// itself cannot be read, and an answer without it would be wrong.
Result<TableView> MakeLakeView(const LakeTable& table, std::span<const LakeShape> files,
                               std::span<const LakeShape> sources);

}  // namespace varve::query
