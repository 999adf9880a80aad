// Whether a table can be read: its newest metadata and log, its manifests, and that its files are
// there. Looks only.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "catalog/lake_tables.h"

namespace varve::catalog {

struct TableCheck {
  uint64_t files = 0;                 // that were looked for
  std::vector<std::string> problems;  // each names a file
  std::string lost_checkpoint;        // which others fail on; or empty
  std::string way_out;                // of that
  std::string not_read;               // why varve does not know what it has: a protocol; or empty
  std::string not_changed;            // why varve does not change it, sound as it is; or empty
};

// go_on is asked before each file; false ends the check there. Fails where the store does.
Result<TableCheck> CheckTable(LakeTables& tables, const std::string& name,
                              const std::function<bool()>& go_on);

}  // namespace varve::catalog
