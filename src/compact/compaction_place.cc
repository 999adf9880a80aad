#include "compact/compaction_place.h"

#include <fmt/format.h>

#include "compact/compaction_request.h"
#include "core/bytes.h"
#include "core/clock.h"
#include "core/letter_case.h"

namespace varve::compact {
namespace {

constexpr int64_t kHourUs = 3'600'000'000;
constexpr int64_t kDayUs = 24 * kHourUs;
constexpr std::string_view kHiveNull = "__HIVE_DEFAULT_PARTITION__";

// The only partition of a merged file, as the table's spec would have it.
struct OutputPartition {
  table::Schema schema;
  table::PartitionSpec spec;
  table::PartitionTuple tuple;
};

Result<OutputPartition> PartitionOf(const CompactionState& state, const table::FileFooter& footer) {
  OutputPartition out;
  out.schema = footer.schema;
  table::AssignIds(out.schema, 0);
  if (state.partition_by == PartitionBy::kNone) return out;
  const std::string& key = state.sort_by.front().column;
  const table::Field* field = table::FindField(out.schema, key);
  if (field == nullptr) {
    return MakeError(ErrorKind::kInternal, "the merged file has no column '" + key + "'");
  }
  out.spec.fields.push_back({field->id, table::kFirstPartitionFieldId, state.partition_name,
                             std::string(ToString(state.partition_by))});
  const table::DataFile file =
      TRY(table::DescribeFile(footer, out.schema, out.spec, table::MatchColumns::kByName));
  out.tuple = file.partition;
  return out;
}

std::string HivePath(int64_t ms, PartitionBy partition_by) {
  const CivilTime time = CivilFromMs(ms);
  std::string path =
      fmt::format("year={:04}/month={:02}/day={:02}", time.year, time.month, time.day);
  if (partition_by != PartitionBy::kDay) path += fmt::format("/hour={:02}", time.hour);
  return path;
}

// hour and day are counted from 1970, as numbers of 32 bits.
std::string HivePath(const CompactionRun& run, const OutputPartition& partition) {
  const PartitionBy by = run.state.partition_by;
  if (by == PartitionBy::kNone) return HivePath(run.request.window_start_ms, by);
  const auto& value = partition.tuple.front();
  if (!value) {
    std::string path = fmt::format("year={0}/month={0}/day={0}", kHiveNull);
    return by == PartitionBy::kDay ? path : fmt::format("{}/hour={}", path, kHiveNull);
  }
  const int64_t unit_ms = (by == PartitionBy::kHour ? kHourUs : kDayUs) / 1000;
  return HivePath(GetLe<int32_t>(value->data()) * unit_ms, by);
}

}  // namespace

int64_t SplitMicros(PartitionBy partition_by) {
  if (partition_by == PartitionBy::kNone) return 0;
  return partition_by == PartitionBy::kHour ? kHourUs : kDayUs;
}

Result<std::string> OutputKey(const CompactionRun& run, const table::FileFooter& footer,
                              size_t number) {
  const OutputPartition partition = TRY(PartitionOf(run.state, footer));
  const std::string id = FoldCase(run.id());
  const std::string name =
      fmt::format("compacted-{}-{}-{:05}.parquet", run.request.window_start_ms, id, number);
  if (!run.to_table()) {
    return fmt::format("{}data/{}/{}/{}", run.request.tenant.StorePrefix(), run.request.ns,
                       HivePath(run, partition), name);
  }
  catalog::TableShape shape;
  shape.schema = partition.schema;
  shape.spec = partition.spec;
  return run.tables.DataKey(run.state.table, shape, partition.tuple, name);
}

}  // namespace varve::compact
