// Snapshots and refs in Iceberg's JSON. Included by .cc files only.
#pragma once

#include "table/iceberg/json_types.h"
#include "table/iceberg/metadata.h"

namespace varve::table::iceberg {

Result<Snapshot> SnapshotFrom(const Json& json);
OrderedJson SnapshotJson(const Snapshot& snapshot);

Result<Ref> RefFrom(const Json& json);
OrderedJson RefJson(const Ref& ref);

}  // namespace varve::table::iceberg
