// A table's name mapping: which column a name stands for in files that have no field ids.
//
// A name belongs to the column that had it first, whatever becomes of the column: one that is
// renamed keeps its old name as well, and so does one that is dropped. A new column of such a name
// is found by its id alone, or old files would show the other one's values in it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "table/schema.h"

namespace varve::table::iceberg {

inline constexpr const char* kNameMapping = "schema.name-mapping.default";

// old: the mapping that it follows, if there is one.
std::string NameMappingJson(const Schema& schema, std::string_view old = {});

// The names that a mapping has for each column, by its field id; of columns alone, not of their
// fields. A mapping that cannot be read has none.
std::map<int32_t, std::vector<std::string>> MappedNames(std::string_view mapping);

// A column of a file whose name is, by the mapping, another column's than the table's of that name.
struct OldName {
  std::string column;
  std::string now;        // what that column is called by now; empty: it has been dropped
  bool is_taken = false;  // the table has a new column of the name
};
std::vector<OldName> OldNames(const Schema& table, std::string_view mapping, const Schema& file);

}  // namespace varve::table::iceberg
