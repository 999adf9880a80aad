#include "compact/compaction_state.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "compact/compaction_request.h"
#include "table/iceberg/json_types.h"
#include "table/json_reading.h"

namespace varve::compact {
namespace {

using table::Json;
using table::Need;

constexpr size_t kStateBytesMax = size_t{64} << 20;

Error Bad(std::string what) {
  return MakeError(ErrorKind::kCorrupt, "BAD_STATE", "a compaction's state: " + std::move(what));
}

Result<std::vector<uint32_t>> Indices(const Json& json, size_t sources) {
  if (!json.is_array()) return Bad("a list of sources is expected");
  std::vector<uint32_t> out;
  for (const Json& index : json) {
    if (!index.is_number_unsigned() || index.get<uint64_t>() >= sources) {
      return Bad("a source that is not there");
    }
    out.push_back(index.get<uint32_t>());
  }
  return out;
}

Result<CompactionSource> ReadSource(const Json& json) {
  if (!json.is_object()) return Bad("a source is expected");
  CompactionSource source;
  const auto state = TRY(Need<int64_t>(json, "state"));
  if (state < 0 || state > static_cast<int64_t>(SourceFate::kChanged)) return Bad("a state");
  source.state = static_cast<SourceFate>(state);
  source.rows = static_cast<uint64_t>(TRY(Need<int64_t>(json, "rows")));
  source.why = TRY(table::Optional<std::string>(json, "why")).value_or("");
  source.content = TRY(table::Optional<std::string>(json, "content")).value_or("");
  return source;
}

Result<CompactionOutput> ReadOutput(const Json& json) {
  if (!json.is_object()) return Bad("an output is expected");
  CompactionOutput output;
  output.file = TRY(Need<std::string>(json, "file"));
  output.key = TRY(Need<std::string>(json, "key"));
  output.digest = TRY(table::Optional<std::string>(json, "digest")).value_or("");
  output.etag = TRY(Need<std::string>(json, "etag"));
  output.bytes = static_cast<uint64_t>(TRY(Need<int64_t>(json, "bytes")));
  output.rows = static_cast<uint64_t>(TRY(Need<int64_t>(json, "rows")));
  return output;
}

constexpr std::pair<merge::ColumnWidth, std::string_view> kWidths[] = {
    {merge::ColumnWidth::kInt64, "long"},
    {merge::ColumnWidth::kDouble, "double"},
    {merge::ColumnWidth::kDecimal, "decimal"},
};

Json WriteWide(const std::vector<merge::WideColumn>& columns) {
  Json out = Json::array();
  for (const merge::WideColumn& column : columns) {
    const auto* width = std::find_if(std::begin(kWidths), std::end(kWidths),
                                     [&](const auto& one) { return one.first == column.width; });
    out.push_back({{"name", column.name}, {"width", width->second}, {"digits", column.digits}});
  }
  return out;
}

Result<merge::WideColumn> ReadWide(const Json& json) {
  if (!json.is_object()) return Bad("a wide column is expected");
  const auto name = TRY(Need<std::string>(json, "width"));
  const auto* width = std::find_if(std::begin(kWidths), std::end(kWidths),
                                   [&](const auto& one) { return one.second == name; });
  if (width == std::end(kWidths)) return Bad("a column's width");
  merge::WideColumn column;
  column.name = TRY(Need<std::string>(json, "name"));
  column.width = width->first;
  column.digits = TRY(Need<int32_t>(json, "digits"));
  return column;
}

Status ReadLists(const Json& json, CompactionState& state) {
  for (const Json& source : *TRY(table::Array(json, "sources", true))) {
    state.sources.push_back(TRY(ReadSource(source)));
  }
  for (const Json& key : *TRY(table::Array(json, "sortBy", true))) {
    if (!key.is_object()) return Bad("a sort key is expected");
    state.sort_by.push_back({TRY(Need<std::string>(key, "column")),
                             TRY(Need<bool>(key, "descending")),
                             TRY(Need<bool>(key, "nullsFirst"))});
  }
  for (const Json& wide : *TRY(table::Array(json, "wide", false))) {
    state.wide.push_back(TRY(ReadWide(wide)));
  }
  for (const Json& batch : *TRY(table::Array(json, "batches", true))) {
    state.batches.push_back(TRY(Indices(batch, state.sources.size())));
  }
  for (const Json& output : *TRY(table::Array(json, "outputs", true))) {
    state.outputs.push_back(TRY(ReadOutput(output)));
  }
  state.removed = TRY(Indices(json.value("removed", Json::array()), state.sources.size()));
  state.late = TRY(Indices(json.value("late", Json::array()), state.sources.size()));
  return {};
}

}  // namespace

uint64_t CompactionState::rows_taken() const {
  uint64_t rows = 0;
  for (const CompactionSource& source : sources) {
    if (source.state == SourceFate::kTaken) rows += source.rows;
  }
  return rows;
}

uint64_t CompactionState::rows_made() const {
  uint64_t rows = 0;
  for (const CompactionOutput& output : outputs) rows += output.rows;
  return rows;
}

size_t CompactionState::CountOf(SourceFate state) const {
  return static_cast<size_t>(
      std::count_if(sources.begin(), sources.end(),
                    [&](const CompactionSource& source) { return source.state == state; }));
}

std::string ToJson(const CompactionState& state) {
  Json sources = Json::array(), keys = Json::array(), outputs = Json::array();
  for (const CompactionSource& source : state.sources) {
    Json json = {{"state", static_cast<int>(source.state)}, {"rows", source.rows}};
    if (!source.why.empty()) json["why"] = source.why;
    if (!source.content.empty()) json["content"] = source.content;
    sources.push_back(std::move(json));
  }
  for (const merge::SortKey& key : state.sort_by) {
    keys.push_back(
        {{"column", key.column}, {"descending", key.descending}, {"nullsFirst", key.nulls_first}});
  }
  for (const CompactionOutput& output : state.outputs) {
    outputs.push_back({{"file", output.file},
                       {"key", output.key},
                       {"digest", output.digest},
                       {"etag", output.etag},
                       {"bytes", output.bytes},
                       {"rows", output.rows}});
  }
  return Json({{"table", state.table},
               {"sources", std::move(sources)},
               {"sortBy", std::move(keys)},
               {"partitionBy", ToString(state.partition_by)},
               {"partitionName", state.partition_name},
               {"wide", WriteWide(state.wide)},
               {"columns", Json(table::iceberg::ToJson(state.columns))},
               {"plans", state.plans},
               {"batches", state.batches},
               {"batchesDone", state.batches_done},
               {"outputs", std::move(outputs)},
               {"snapshotId", state.snapshot_id},
               {"commitId", state.commit_id},
               {"removed", state.removed},
               {"lateSnapshotId", state.late_snapshot_id},
               {"lateCommitId", state.late_commit_id},
               {"late", state.late}})
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<CompactionState> ParseCompactionState(std::string_view json) {
  CompactionState state;
  if (json == "{}") return state;  // of a workflow that has not begun
  const Json object = TRY(table::ParseObject(json, kStateBytesMax));
  state.table = TRY(Need<std::string>(object, "table"));
  state.partition_by = TRY(ParsePartitionBy(TRY(Need<std::string>(object, "partitionBy"))));
  state.partition_name = TRY(Need<std::string>(object, "partitionName"));
  state.plans = static_cast<uint32_t>(TRY(Need<int32_t>(object, "plans")));
  state.batches_done = static_cast<uint32_t>(TRY(Need<int32_t>(object, "batchesDone")));
  state.snapshot_id = TRY(Need<int64_t>(object, "snapshotId"));
  state.commit_id = TRY(Need<std::string>(object, "commitId"));
  state.late_snapshot_id = TRY(Need<int64_t>(object, "lateSnapshotId"));
  state.late_commit_id = TRY(Need<std::string>(object, "lateCommitId"));
  if (const auto columns = object.find("columns"); columns != object.end()) {
    state.columns = TRY(table::iceberg::SchemaFrom(*columns));
  }
  TRY(ReadLists(object, state));
  if (state.batches_done > state.batches.size()) return Bad("more batches done than there are");
  return state;
}

}  // namespace varve::compact
