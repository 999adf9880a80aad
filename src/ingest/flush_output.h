// A flush unit's records as objects. Names are made of the unit's number and creation time alone,
// so a unit done again after a crash puts the same objects, and finds those it had put.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "ingest/flush_units.h"
#include "journal/journal.h"
#include "store/object_store.h"

namespace varve::ingest {

// Where events go: namespace and hour of event time (UTC, since 1970); a file of each unit for
// each.
using Partition = std::pair<std::string_view, int64_t>;
using Partitions = std::set<Partition>;
void AddPartitions(const journal::Record& record, Partitions* partitions);

struct FlushedObjects {
  uint64_t files = 0, rows = 0, bytes = 0;
};

// [ns/{ns}/]events/Y/M/D/H/{ulid}.parquet, one for each namespace and hour of event time.
Result<FlushedObjects> PutEventObjects(store::ObjectStore& store, const Instance& instance,
                                       const FlushUnit& unit,
                                       const std::vector<journal::Record>& records);

// [ns/{ns}/]{prefix}/{ms}-{doId}-{batchSeq}.ndjson, one file with all items of the unit.
Result<FlushedObjects> PutRawObject(store::ObjectStore& store, const Instance& instance,
                                    const FlushUnit& unit, const std::string& raw_events_prefix,
                                    const std::vector<journal::Record>& records);

}  // namespace varve::ingest
