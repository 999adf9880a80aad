// Parquet files that lie on the store already, made a table or added to one, where they lie.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "catalog/lake_tables.h"

namespace varve::catalog {

struct RegisterOptions {
  Formats formats;           // of a new table; an old one keeps its own
  std::string partitioning;  // of a new table: "hour(ts)", …
  std::string sorting;       // of a new table: "ts"; registered files are not said to be sorted
  // Registers columns that some readers get wrong (FileFooter::problems) all the same.
  bool accept_problems = false;
  // Which commit this is, so that it can be repeated; none: a new one.
  std::optional<table::iceberg::Mark> mark;
};

struct Registered {
  bool created = false;
  size_t files = 0;
  int64_t rows = 0;
  Published commit;
};

inline constexpr size_t kRegisterFilesMax = 10'000;

// All of the files, or none. Each must be of one partition and fit the schema, which is evolved if
// it can be. Errors name the file.
Result<Registered> RegisterFiles(LakeTables& tables, const std::string& name,
                                 const std::vector<std::string>& keys,
                                 const RegisterOptions& options);

}  // namespace varve::catalog
