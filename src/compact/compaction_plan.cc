#include "compact/compaction_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "catalog/delta_partitions.h"
#include "compact/compaction_request.h"
#include "core/log.h"
#include "table/delta/actions.h"
#include "table/iceberg/name_mapping.h"

namespace varve::compact {
namespace {

constexpr std::string_view kUsualKeys[] = {"ts", "timestamp", "createdAt", "created_at"};
constexpr size_t kShownMax = 20;  // sources, in a step's detail

// Files with the same columns.
struct SchemaGroup {
  table::Schema schema;
  std::vector<table::ColumnProblem> problems;
  std::vector<uint32_t> sources;
};

void AddSignature(const table::Type& type, std::string& out) {
  out += table::TypeName(type);
  for (const table::Field& field : type.fields) {
    out += fmt::format("[{}:{}{}", field.name.size(), field.name, field.required ? "!" : "?");
    AddSignature(field.type, out);
    out += "]";
  }
}

std::string SignatureOf(const table::Schema& schema) {
  std::string out;
  for (const table::Field& field : schema.fields) {
    out += fmt::format("[{}:{}{}", field.name.size(), field.name, field.required ? "!" : "?");
    AddSignature(field.type, out);
    out += "]";
  }
  return out;
}

merge::WideColumn WidthOf(std::string name, const table::Type& type) {
  merge::WideColumn column{std::move(name), merge::ColumnWidth::kInt64, type.precision};
  if (type.id == table::TypeId::kDouble) column.width = merge::ColumnWidth::kDouble;
  if (type.id == table::TypeId::kDecimal) column.width = merge::ColumnWidth::kDecimal;
  return column;
}

// Adds what a file has narrower. by_position: a list's element, a map's key and value.
void AddWide(const std::vector<table::Field>& all, const std::vector<table::Field>& file,
             const std::string& parent, bool by_position,
             std::map<std::string, merge::WideColumn>& out) {
  for (size_t i = 0; i < file.size(); ++i) {
    const auto at = by_position ? all.begin() + static_cast<ptrdiff_t>(i)
                                : std::find_if(all.begin(), all.end(), [&](const auto& field) {
                                    return field.name == file[i].name;
                                  });
    if (at == all.end()) continue;
    const std::string name = parent + at->name;
    if (at->type.is_nested()) {
      const bool is_struct = at->type.id == table::TypeId::kStruct;
      AddWide(at->type.fields, file[i].type.fields, name + ".", !is_struct, out);
    } else if (table::TypeName(at->type) != table::TypeName(file[i].type)) {
      out[name] = WidthOf(name, at->type);
    }
  }
}

void Changed(CompactionState& state, uint32_t source, std::string why) {
  state.sources[source].state = SourceFate::kChanged;
  state.sources[source].why = std::move(why);
}

class Planner {
 public:
  explicit Planner(CompactionRun& run) : run_(run), state_(run.state) {}

  Status Plan() {
    state_.sources.resize(run_.request.sources.size());
    if (run_.to_table()) {
      state_.table = TRY(TableNameOf(run_.request.ns));
      if (TRY(HasTable(run_))) {
        formats_ = TRY(run_.tables.FormatsOf(state_.table));
        TRY(catalog::CheckTakesFiles(run_.tables, state_.table));
        shape_ = TRY(run_.tables.Shape(state_.table));
      }
      const catalog::Formats wanted = run_.request.settings.target.tables;
      has_delta_ = formats_.delta || (!shape_ && wanted.delta);
      has_iceberg_ = formats_.iceberg || (!shape_ && wanted.iceberg);
    }
    for (uint32_t i = 0; i < state_.sources.size(); ++i) {
      if (run_.step.stop.stop_requested()) return MakeError(ErrorKind::kCancelled, "stopped");
      if (state_.sources[i].state == SourceFate::kTaken) TRY(Look(i));
    }
    TRY(ChooseKey());
    QuarantineWithoutKey();
    UniteSchemas();
    TRY(PlanIds());
    TRY(ChoosePartition());
    MakeBatches();
    ++state_.plans;
    if (run_.to_table()) {
      const catalog::FileChanges ids = run_.tables.NewChanges();
      state_.snapshot_id = ids.snapshot_id;
      state_.commit_id = ids.commit_id;
    }
    return {};
  }

 private:
  Status Look(uint32_t at) {
    const SourceFile& source = run_.request.sources[at];
    const std::optional<bool> pinned = TRY(IsPinned(run_.store, source));
    if (!pinned.value_or(false)) {
      Changed(state_, at, pinned ? "it has other bytes than were announced" : "it is gone");
      return {};
    }
    auto footer = ReadFooter(run_.store, source.key, source.size);
    if (!footer.ok()) {
      const ErrorKind kind = footer.error().kind;
      if (kind != ErrorKind::kCorrupt && kind != ErrorKind::kInvalid) return footer.error();
      Quarantine(state_, at, footer.error().message);
      return {};
    }
    state_.sources[at].rows = static_cast<uint64_t>(footer->rows);
    if (shape_) footer->schema = table::SchemaWithoutNulls(*footer);
    SchemaGroup& group = groups_[SignatureOf(footer->schema)];
    if (group.sources.empty()) {
      group.schema = std::move(footer->schema);
      group.problems = std::move(footer->problems);
    }
    group.sources.push_back(at);
    return {};
  }

  std::vector<SchemaGroup*> LargestFirst() {
    std::vector<SchemaGroup*> out;
    for (auto& [signature, group] : groups_) {
      if (!group.sources.empty()) out.push_back(&group);
    }
    std::stable_sort(out.begin(), out.end(), [](const SchemaGroup* a, const SchemaGroup* b) {
      if (a->sources.size() != b->sources.size()) return a->sources.size() > b->sources.size();
      return a->sources.front() < b->sources.front();
    });
    return out;
  }

  void QuarantineGroup(SchemaGroup& group, const std::string& why) {
    for (const uint32_t source : group.sources) Quarantine(state_, source, why);
    group.sources.clear();
  }

  Status ChooseKey() {
    state_.sort_by = run_.request.settings.sort_by;
    if (!state_.sort_by.empty()) return {};
    for (const std::string_view name : kUsualKeys) {
      size_t files = 0, with_key = 0;
      for (const auto& [signature, group] : groups_) {
        files += group.sources.size();
        if (table::FindField(group.schema, name) != nullptr) with_key += group.sources.size();
      }
      if (with_key == 0 || with_key * 2 < files) continue;
      merge::SortKey key;
      key.column = name;
      state_.sort_by.push_back(std::move(key));
      return {};
    }
    if (groups_.empty()) return {};
    return MakeError(ErrorKind::kInvalid, "NO_SORT_KEY",
                     "most files have none of the columns ts, timestamp, createdAt, created_at; "
                     "configure what the namespace is sorted by");
  }

  void QuarantineWithoutKey() {
    if (state_.sort_by.empty()) return;
    const std::string& key = state_.sort_by.front().column;
    for (auto& [signature, group] : groups_) {
      const table::Field* field = table::FindField(group.schema, key);
      if (field == nullptr) {
        QuarantineGroup(group, fmt::format("it has no column '{}' to sort by", key));
      } else if (field->type.is_nested()) {
        QuarantineGroup(group, fmt::format("its column '{}' is of no type to sort by", key));
      }
    }
  }

  // A column that was renamed is not to become two: the writer still goes by the old name.
  std::string WhyRenamed(const SchemaGroup& group) const {
    if (!shape_) return "";
    const auto mapping = shape_->properties.find(table::iceberg::kNameMapping);
    if (mapping == shape_->properties.end()) return "";
    for (const auto& old :
         table::iceberg::OldNames(shape_->schema, mapping->second, group.schema)) {
      if (old.is_taken || old.now.empty()) continue;
      return fmt::format(
          "the table has renamed its column '{}' to '{}', and the file has the old name",
          old.column, old.now);
    }
    return "";
  }

  // Why no table can have these columns; empty: it can.
  std::string WhyUnfit(const SchemaGroup& group) const {
    if (!run_.to_table()) return "";
    for (const table::ColumnProblem& problem : group.problems) {
      if (problem.ends_in_merge) continue;
      return problem.text + "; some readers of the table would get it wrong";
    }
    if (const std::string why = WhyRenamed(group); !why.empty()) return why;
    if (!has_delta_) return "";
    const auto as_delta = table::delta::SchemaToJson(group.schema);
    return as_delta.ok() ? "" : as_delta.error().message;
  }

  void UniteSchemas() {
    bool begun = shape_.has_value();
    if (begun) schema_ = shape_->schema;
    int32_t last = 0;
    for (SchemaGroup* group : LargestFirst()) {
      if (const std::string why = WhyUnfit(*group); !why.empty()) {
        QuarantineGroup(*group, why);
        continue;
      }
      if (!begun) schema_ = group->schema;
      begun = true;
      auto evolution = table::EvolveSchema(schema_, group->schema, last);
      if (!evolution.ok()) {
        QuarantineGroup(*group, evolution.error().message);
      } else if (evolution->widened && formats_.delta) {
        QuarantineGroup(*group, "it has a wider type than the Delta table's column");
      } else {
        last = evolution->last_column_id;
        schema_ = std::move(evolution->schema);
      }
    }
    std::map<std::string, merge::WideColumn> wide;
    for (const SchemaGroup* group : LargestFirst()) {
      AddWide(schema_.fields, group->schema.fields, "", false, wide);
    }
    state_.wide.clear();
    for (auto& [name, column] : wide) state_.wide.push_back(std::move(column));
  }

  // The commit gives the table the columns that it lacks with these ids, or there is another plan.
  Status PlanIds() {
    state_.columns = {};
    if (!has_iceberg_) return {};
    state_.columns = schema_;
    if (!shape_) {
      table::AssignIds(state_.columns, 0);
      return {};
    }
    auto next = TRY(table::EvolveSchema(shape_->schema, schema_, shape_->last_column_id));
    state_.columns = std::move(next.schema);
    return {};
  }

  Status ChoosePartition() {
    state_.partition_by = PartitionBy::kNone;
    state_.partition_name.clear();
    if (state_.sort_by.empty()) return {};
    const std::string& key = state_.sort_by.front().column;
    const table::Field* field = table::FindField(schema_, key);
    if (field == nullptr) return {};
    const auto can = [&](PartitionBy by) {
      const table::TypeId type = field->type.id;
      return type == table::TypeId::kTimestamp || type == table::TypeId::kTimestamptz ||
             (type == table::TypeId::kDate && by == PartitionBy::kDay);
    };
    if (!shape_ || !formats_.iceberg) {
      const PartitionBy wanted = run_.request.settings.partition_by;
      if (can(wanted)) state_.partition_by = wanted;
      state_.partition_name = fmt::format("{}_{}", key, ToString(state_.partition_by));
      return {};
    }
    const auto& fields = shape_->spec.fields;
    if (fields.empty()) return {};
    const auto fits = [&](const table::PartitionField& one) {
      const auto by = ParsePartitionBy(one.transform);
      return one.source_id == field->id && by.ok() && can(*by);
    };
    const auto odd = std::find_if_not(fields.begin(), fields.end(), fits);
    if (odd != fields.end() || fields.size() > 1) {
      const table::PartitionField& named = odd != fields.end() ? *odd : fields[1];
      return MakeError(ErrorKind::kInvalid, "PARTITIONING_UNSUPPORTED",
                       fmt::format("the table '{}' is partitioned by '{}' ({}); files are written "
                                   "into partitions by the hour or the day of '{}', the column "
                                   "that they are sorted by, and by nothing else",
                                   state_.table, named.name, named.transform, key));
    }
    state_.partition_by = TRY(ParsePartitionBy(fields[0].transform));
    state_.partition_name = fields[0].name;
    return {};
  }

  void MakeBatches() {
    state_.batches.clear();
    state_.outputs.clear();
    state_.batches_done = 0;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < state_.sources.size(); ++i) {
      if (state_.sources[i].state != SourceFate::kTaken) continue;
      const uint64_t size = run_.request.sources[i].size;
      if (state_.batches.empty() || bytes + size > run_.request.settings.batch_bytes_max) {
        state_.batches.emplace_back();
        bytes = 0;
      }
      state_.batches.back().push_back(i);
      bytes += size;
    }
  }

  CompactionRun& run_;
  CompactionState& state_;
  catalog::Formats formats_;
  bool has_delta_ = false, has_iceberg_ = false;  // or will have, by this compaction
  std::optional<catalog::TableShape> shape_;
  std::map<std::string, SchemaGroup> groups_;  // by signature
  table::Schema schema_;                       // of all that are taken
};

}  // namespace

void Quarantine(CompactionState& state, uint32_t source, std::string why) {
  state.sources[source].state = SourceFate::kQuarantined;
  state.sources[source].why = std::move(why);
}

Status PlanCompaction(CompactionRun& run) {
  TRY(Planner(run).Plan());
  for (uint32_t i = 0; i < run.state.sources.size(); ++i) {
    const CompactionSource& source = run.state.sources[i];
    if (source.state != SourceFate::kQuarantined) continue;
    LogWarn("compaction.quarantined",
            {{"id", run.id()}, {"key", run.request.sources[i].key}, {"why", source.why}});
  }
  return {};
}

std::string PlanDetail(const CompactionRequest& request, const CompactionState& state) {
  uint64_t bytes = 0;
  nlohmann::ordered_json left_out = nlohmann::ordered_json::array();
  for (size_t i = 0; i < state.sources.size(); ++i) {
    const CompactionSource& source = state.sources[i];
    if (source.state == SourceFate::kTaken) {
      bytes += request.sources[i].size;
    } else if (left_out.size() < kShownMax) {
      left_out.push_back(
          {{"key", request.sources[i].key},
           {"state", source.state == SourceFate::kChanged ? "changed" : "quarantined"},
           {"why", source.why}});
    }
  }
  std::vector<std::string> keys;
  for (const merge::SortKey& key : state.sort_by) keys.push_back(key.column);
  return nlohmann::ordered_json({{"files", state.CountOf(SourceFate::kTaken)},
                                 {"bytes", bytes},
                                 {"rows", state.rows_taken()},
                                 {"batches", state.batches.size()},
                                 {"sortBy", keys},
                                 {"partitionBy", ToString(state.partition_by)},
                                 {"quarantined", state.CountOf(SourceFate::kQuarantined)},
                                 {"changed", state.CountOf(SourceFate::kChanged)},
                                 {"leftOut", std::move(left_out)}})
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace varve::compact
