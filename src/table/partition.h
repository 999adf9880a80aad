// Partition specs and sort orders, and the transforms that we can compute ourselves. Transforms of
// tables that others made are carried as text and never applied.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "table/schema.h"

namespace varve::table {

struct PartitionField {
  int32_t source_id = 0;
  int32_t field_id = 0;   // from 1000
  std::string name;       // ts_hour
  std::string transform;  // identity, year, month, day, hour, void, bucket[N], truncate[W]
};

struct PartitionSpec {
  int32_t id = 0;
  std::vector<PartitionField> fields;
};

struct SortField {
  int32_t source_id = 0;
  std::string transform = "identity";
  bool descending = false, nulls_first = true;
};

struct SortOrder {
  int32_t id = 0;  // 0: unsorted, without fields
  std::vector<SortField> fields;
};

inline constexpr int32_t kFirstPartitionFieldId = 1000;

// A value for each field of the spec, as its result type writes it (bounds.h).
using PartitionTuple = std::vector<std::optional<std::string>>;

// kInvalid, UNSUPPORTED_TRANSFORM: not for this type, or not ours to know.
Result<Type> TransformResult(std::string_view transform, const Type& source);
Result<std::string> ApplyTransform(std::string_view transform, const Type& source,
                                   std::string_view value);

// "hour(ts)", "day(ts)", "region" and commas between them; empty: unpartitioned.
Result<PartitionSpec> ParsePartitioning(std::string_view text, const Schema& schema);
// "ts,id desc": ascending unless it says desc; order 1. Empty: order 0.
Result<SortOrder> ParseSorting(std::string_view text, const Schema& schema);

// "ts_hour=2026-02-02-14/region=eu": the folders of a partition, safe as a key. Empty: no fields.
Result<std::string> PartitionPath(const PartitionSpec& spec, const Schema& schema,
                                  const PartitionTuple& tuple);

}  // namespace varve::table
