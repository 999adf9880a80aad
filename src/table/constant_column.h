// A column whose values are not in the files: a Delta table's partition column.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace varve::table {

struct ConstantColumn {
  std::string name;
  // By file, as Delta's log writes them: "2026-02-02", "true"; nothing, and no text, is null.
  std::vector<std::optional<std::string>> values;
};

}  // namespace varve::table
