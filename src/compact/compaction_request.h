// A compaction's request as the text that a workflow keeps, and back. Reading is strict: what is
// not known, missing or out of bounds is kCorrupt, BAD_REQUEST.
#pragma once

#include <string>
#include <string_view>

#include "compact/compaction.h"

namespace varve::compact {

inline constexpr const char* kCompactionKind = "compaction";
inline constexpr const char* kCompactionFirstStep = "plan";

inline constexpr size_t kCompactionSourcesMax = 10'000;
inline constexpr size_t kCompactionSortKeysMax = 16;

std::string ToJson(const CompactionRequest& request);
Result<CompactionRequest> ParseCompactionRequest(std::string_view json);

// "users" → "users", "app/users" → "app.users". kInvalid, INVALID_TABLE_NAME.
Result<std::string> TableNameOf(std::string_view data_namespace);

// "iceberg", "delta", "iceberg+delta", "parquet".
std::string ToString(const TargetFormat& target);
Result<TargetFormat> ParseTargetFormat(std::string_view text);  // kInvalid, INVALID_TARGET

// "none", "hour", "day".
std::string_view ToString(PartitionBy partition_by);
Result<PartitionBy> ParsePartitionBy(std::string_view text);  // kInvalid, INVALID_PARTITION

// "{tenant/}{ns}@{window start}": what lists show.
std::string SubjectOf(const CompactionRequest& request);

}  // namespace varve::compact
