// Which snapshots have had their time, and which objects nobody needs once they are gone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.h"
#include "table/iceberg/commit.h"

namespace varve::table::iceberg {

struct ExpireRule {
  int64_t older_than_ms = 0;  // snapshots that others took the place of before it expire
  size_t keep_last = 1;       // of main's; the current one always stays
};

struct Expiry {
  TableMetadata next;
  std::vector<Snapshot> expired;  // empty: nothing to do, next is the base
};

Result<Expiry> ExpireSnapshots(const TableMetadata& base, const std::string& base_location,
                               const ExpireRule& rule, int64_t now_ms);

struct Unreferenced {
  std::vector<std::string> manifest_lists, manifests, data_files;  // locations
};

// What only the expired snapshots reached. To be asked before anything is deleted, and deleted only
// once next is the table's metadata.
Result<Unreferenced> FindUnreferenced(const Expiry& expiry, const ReadObject& read);

}  // namespace varve::table::iceberg
