// The first step of a compaction: which sources are taken, and how.
//
//  1. Each source is looked at: other bytes than were announced, or none, are not taken (kChanged);
//     what is no Parquet file, or has columns that no reader of tables gets right, is quarantined.
//  2. The sort key is the namespace's, or the first usual name that most files have; files without
//     it are quarantined.
//  3. Schemas must meet: with the table's, if there is one, else with most files'. Files are taken
//     in groups of one schema, the largest first; a group that fits no longer is quarantined.
//  4. Partitions are the table's, if there is one.
//  5. Batches of so many bytes, in the order of the sources. The commit's ids.
#pragma once

#include "compact/compaction_run.h"

namespace varve::compact {

Status PlanCompaction(CompactionRun& run);

// What was planned, for whoever looks: counts, bytes, rows, who was left out and why.
std::string PlanDetail(const CompactionRequest& request, const CompactionState& state);

// Not taken, for this reason.
void Quarantine(CompactionState& state, uint32_t source, std::string why);

}  // namespace varve::compact
