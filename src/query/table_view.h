// The SQL of one table's view over a snapshot: exact files, and rows that no file holds.
#pragma once

#include <string>
#include <vector>

#include "query/file_checks.h"

namespace varve::query {

// The table functions of the rows that lie in no Parquet file.
inline constexpr const char* kEventRowsFunction = "varve_event_rows";
inline constexpr const char* kLogRowsFunction = "varve_log_rows";

struct TableView {
  std::string select;                 // the view's own text
  std::vector<std::string> paths;     // what it reads
  std::vector<std::string> warnings;  // files left out, by key
};

// row_function: the table function that gives the other rows, or empty when there are none.
// With neither odd files nor other rows the view is read_parquet and nothing else.
TableView MakeTableView(std::span<const TableColumn> columns, std::span<const FileRef> files,
                        std::span<const FileShape> shapes, std::string_view row_function);

// Leaves out files whose path …/Y/M/D/H/… or …/year=Y/month=M/… says that they lie outside.
std::vector<FileRef> PruneByPath(std::vector<FileRef> files, const TimeRange& range);

}  // namespace varve::query
