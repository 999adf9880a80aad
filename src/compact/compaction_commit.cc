#include "compact/compaction_commit.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "catalog/snapshot_files.h"
#include "compact/compaction_request.h"
#include "core/crash_point.h"
#include "core/log.h"

namespace varve::compact {
namespace {

namespace ice = table::iceberg;
namespace dl = table::delta;

const CrashPoint kCreated{"compaction.table_created"};
const CrashPoint kEvolved{"compaction.table_evolved"};
const CrashPoint kCommitted{"compaction.committed"};
const CrashPoint kLateCommitted{"compaction.late_committed"};
const CrashPoint kFenced{"compaction.fenced"};

constexpr const char* kCancelledProperty = "varve.cancelled-compaction";
constexpr int kCreateTriesMax = 3;

Result<std::vector<table::FileFooter>> Footers(CompactionRun& run) {
  std::vector<table::FileFooter> footers;
  for (const CompactionOutput& output : run.state.outputs) {
    footers.push_back(TRY(ReadFooter(run.store, output.key, output.bytes)));
  }
  return footers;
}

// What was planned, if the files have its ids; otherwise what they have together. A table that is
// there goes on requiring a column of which no file has a null.
Result<table::Schema> SchemaOf(const CompactionState& state, bool is_new,
                               const std::vector<table::FileFooter>& footers) {
  const auto columns_of = [&](const table::FileFooter& footer) {
    return is_new ? footer.schema : table::SchemaWithoutNulls(footer);
  };
  const bool planned = !state.columns.fields.empty();
  table::Schema schema = planned ? state.columns : columns_of(footers.front());
  int32_t last = planned ? 0 : table::AssignIds(schema, 0);
  for (const table::FileFooter& footer : footers) {
    if (planned) TRY(table::CheckSameIds(schema, footer.schema));
    auto evolution = TRY(table::EvolveSchema(schema, columns_of(footer), last));
    last = evolution.last_column_id;
    schema = std::move(evolution.schema);
  }
  return schema;
}

table::SortOrder OrderOf(const CompactionState& state, const table::Schema& schema) {
  table::SortOrder order;
  for (const merge::SortKey& key : state.sort_by) {
    const table::Field* field = table::FindField(schema, key.column);
    if (field == nullptr) return {};
    table::SortField sorted;
    sorted.source_id = field->id;
    sorted.descending = key.descending;
    sorted.nulls_first = key.nulls_first;
    order.fields.push_back(std::move(sorted));
  }
  order.id = order.fields.empty() ? 0 : 1;
  return order;
}

bool SameOrder(const table::SortOrder& a, const table::SortOrder& b) {
  return std::equal(a.fields.begin(), a.fields.end(), b.fields.begin(), b.fields.end(),
                    [](const table::SortField& x, const table::SortField& y) {
                      return x.source_id == y.source_id && x.transform == y.transform &&
                             x.descending == y.descending && x.nulls_first == y.nulls_first;
                    });
}

Result<catalog::TableShape> NewShape(const CompactionState& state, table::Schema schema) {
  catalog::TableShape shape;
  shape.schema = std::move(schema);
  shape.order = OrderOf(state, shape.schema);
  if (state.partition_by == PartitionBy::kNone) return shape;
  const table::Field* field = table::FindField(shape.schema, state.sort_by.front().column);
  if (field == nullptr) return MakeError(ErrorKind::kInternal, "the sort column has gone");
  shape.spec.fields.push_back({field->id, table::kFirstPartitionFieldId, state.partition_name,
                               std::string(ToString(state.partition_by))});
  return shape;
}

// A table that has rows gets another format by a publication alone, which looks at its files.
Status MakeTable(CompactionRun& run, const table::Schema& schema) {
  const std::string& name = run.state.table;
  const catalog::Formats wanted = run.request.settings.target.tables;
  for (int i = 1;; ++i) {
    const catalog::Formats there = TRY(run.tables.FormatsOf(name));
    const bool all = (there.iceberg || !wanted.iceberg) && (there.delta || !wanted.delta);
    if (all) return {};
    if (there.any() && !TRY(catalog::FilesAsOf(run.tables, name, {})).files.empty()) return {};
    const auto shape = TRY(NewShape(run.state, schema));
    const Status made = run.tables.Create(name, shape, wanted);
    if (made.ok()) break;
    // Another one made it meanwhile.
    if (made.error().code != "TABLE_EXISTS" || i == kCreateTriesMax) return made;
  }
  kCreated.Hit();
  return {};
}

ice::RemovedFile Removed(const CompactionRun& run, uint32_t source) {
  ice::RemovedFile removed;
  removed.path = run.request.sources[source].key;
  return removed;
}

Result<catalog::FileChanges> ChangesOf(CompactionRun& run,
                                       const std::vector<table::FileFooter>& footers) {
  const catalog::TableShape shape = TRY(run.tables.Shape(run.state.table));
  const bool sorted = SameOrder(OrderOf(run.state, shape.schema), shape.order);
  catalog::FileChanges changes;
  changes.snapshot_id = run.state.snapshot_id;
  changes.commit_id = run.state.commit_id;
  changes.ids_of_iceberg = shape.ids_of_iceberg;
  changes.summary["varve.compaction"] = run.id();
  const auto match =
      shape.ids_of_iceberg ? table::MatchColumns::kByFieldIdIfAll : table::MatchColumns::kByName;
  for (size_t i = 0; i < footers.size(); ++i) {
    auto file = table::DescribeFile(footers[i], shape.schema, shape.spec, match);
    const CompactionOutput& output = run.state.outputs[i];
    if (!file.ok()) return std::move(file).error().Context("'" + output.key + "'");
    file->path = output.key;
    if (sorted && shape.order.id > 0) file->sort_order_id = shape.order.id;
    changes.added.push_back(std::move(*file));
  }
  for (const uint32_t source : run.state.removed) changes.removed.push_back(Removed(run, source));
  changes.same_rows =
      !changes.removed.empty() && changes.removed.size() == run.state.CountOf(SourceFate::kTaken);
  return changes;
}

std::set<std::string> OutputKeys(const CompactionRun& run) {
  std::set<std::string> keys;
  for (const CompactionOutput& output : run.state.outputs) keys.insert(output.key);
  return keys;
}

size_t CountOf(const std::set<std::string>& keys, const std::vector<table::DataFile>& files) {
  return static_cast<size_t>(
      std::count_if(files.begin(), files.end(),
                    [&](const table::DataFile& file) { return keys.contains(file.path); }));
}

// The commit is there: all outputs are live, or were when it was made.
Result<bool> IcebergHas(CompactionRun& run) {
  const std::set<std::string> keys = OutputKeys(run);
  const std::string& name = run.state.table;
  const catalog::SnapshotFiles now = TRY(catalog::FilesAsOf(run.tables, name, {}));
  if (CountOf(keys, now.files) == keys.size()) return true;
  catalog::AsOf ours;
  ours.snapshot_id = run.state.snapshot_id;
  const auto then = catalog::FilesAsOf(run.tables, name, ours);
  if (!then.ok() && then.error().code == "NO_SUCH_SNAPSHOT") return false;
  if (!then.ok()) return then.error();
  return CountOf(keys, then->files) == keys.size();
}

// How many of the outputs Delta's log has, or had until lately. missing: the keys of the others.
Result<size_t> CountInDelta(CompactionRun& run, std::set<std::string>* missing = nullptr) {
  const dl::State state = TRY(run.tables.delta().Load(run.state.table));
  const std::string root = run.tables.delta().Place(run.state.table).key() + "/";
  size_t count = 0;
  for (const CompactionOutput& output : run.state.outputs) {
    const std::string path = dl::EncodePath(std::string_view(output.key).substr(root.size()));
    if (state.files.contains(path) || state.tombstones.contains(path)) {
      ++count;
    } else if (missing != nullptr) {
      missing->insert(output.key);
    }
  }
  return count;
}

// A Delta log that was begun later never had what Iceberg had given up by then.
Result<bool> DeltaLacks(CompactionRun& run, bool delta_first) {
  std::set<std::string> missing;
  TRY(CountInDelta(run, &missing));
  if (missing.empty() || delta_first) return !missing.empty();
  return CountOf(missing, TRY(catalog::FilesAsOf(run.tables, run.state.table, {})).files) > 0;
}

// Empty: every format has all outputs.
Result<std::string> WhatIsMissing(CompactionRun& run) {
  const catalog::Formats formats = TRY(run.tables.FormatsOf(run.state.table));
  if (!formats.any()) return std::string("the table is gone");
  TRY(run.tables.Level(run.state.table));  // one may have been published meanwhile
  // Iceberg that follows Delta's log has what that has.
  const bool delta_first = TRY(run.tables.IsDeltaFirst(run.state.table));
  if (!delta_first && !TRY(IcebergHas(run))) return std::string("Iceberg lacks merged files");
  if (formats.delta && TRY(DeltaLacks(run, delta_first))) {
    return std::string("Delta lacks merged files");
  }
  return std::string();
}

// What was asked for and only a publication can give; empty: nothing.
Result<std::string> WhatIsNotAdded(CompactionRun& run) {
  const catalog::Formats there = TRY(run.tables.FormatsOf(run.state.table));
  const catalog::Formats wanted = run.request.settings.target.tables;
  const catalog::Formats lacking = {.iceberg = wanted.iceberg && !there.iceberg,
                                    .delta = wanted.delta && !there.delta};
  if (!lacking.any()) return std::string();
  return fmt::format(
      "the table '{0}' has rows and is {1} alone, and stays so: `varve table "
      "publish {0} --to {2}` makes it {2} as well",
      run.state.table, ToString(there), ToString(lacking));
}

std::string CommitDetail(const CompactionRun& run, const catalog::Published& done,
                         const std::string& not_added) {
  nlohmann::ordered_json json = {{"table", run.state.table},
                                 {"added", run.state.outputs.size()},
                                 {"removed", run.state.removed.size()},
                                 {"rows", run.state.rows_made()}};
  if (done.iceberg) {
    json["snapshotId"] = done.iceberg->snapshot_id;
    json["icebergVersion"] = done.iceberg->version;
    json["icebergAttempts"] = done.iceberg->attempts;
  }
  if (done.delta) {
    json["deltaVersion"] = done.delta->version;
    json["deltaAttempts"] = done.delta->attempts;
  }
  if (!not_added.empty()) json["warning"] = not_added;
  return json.dump();
}

Result<catalog::Published> TryCommit(CompactionRun& run) {
  const auto footers = TRY(Footers(run));
  const bool is_new = !TRY(run.tables.FormatsOf(run.state.table)).any();
  const table::Schema schema = TRY(SchemaOf(run.state, is_new, footers));
  TRY(MakeTable(run, schema));
  const bool planned = !run.state.columns.fields.empty();
  if (planned && !TRY(run.tables.FormatsOf(run.state.table)).iceberg) {
    return MakeError(ErrorKind::kInvalid, "SCHEMA_MISMATCH", "a table without Iceberg came first");
  }
  TRY(run.tables.Evolve(run.state.table, schema,
                        planned ? catalog::NewIds::kAsGiven : catalog::NewIds::kNext));
  kEvolved.Hit();
  const auto changes = TRY(ChangesOf(run, footers));
  return run.tables.Commit(run.state.table, changes);
}

bool IsSuperseded(const Error& error) {
  return error.code == "SOURCE_NOT_LIVE" || error.code == "SCHEMA_MISMATCH" ||
         error.code == "PARTITION_SPANNED";
}

}  // namespace

Result<Committed> CommitOutputs(CompactionRun& run) {
  auto done = TryCommit(run);
  if (!done.ok() && IsSuperseded(done.error())) {
    // What is half done goes on: a format that has it already cannot give it back.
    const Status fenced = FenceCommit(run);
    if (fenced.ok()) return Committed::kSuperseded;
    return fenced.error().code == "ALREADY_COMMITTED" ? done.error() : fenced.error();
  }
  // Its snapshot may have expired since an earlier attempt made it.
  const bool was_done =
      !done.ok() && done.error().code == "FILE_ALREADY_LIVE" && TRY(WhatIsMissing(run)).empty();
  const catalog::Published published = was_done ? catalog::Published() : TRY(std::move(done));
  kCommitted.Hit();
  const std::string not_added = TRY(WhatIsNotAdded(run));
  if (!not_added.empty()) {
    LogWarn("compaction.format_not_added", {{"id", run.id()}, {"why", not_added}});
  }
  run.step.detail_json = CommitDetail(run, published, not_added);
  return Committed::kDone;
}

Status VerifyCommit(CompactionRun& run) {
  const auto failed = [&](std::string what) {
    return MakeError(ErrorKind::kCorrupt, "VERIFY_FAILED",
                     fmt::format("{}; no source is deleted", what));
  };
  uint64_t rows = 0;
  const std::vector<table::FileFooter> footers = TRY(Footers(run));
  for (const table::FileFooter& footer : footers) rows += static_cast<uint64_t>(footer.rows);
  if (rows != run.state.rows_taken()) {
    return failed(fmt::format("the merged files have {} rows, their sources {}", rows,
                              run.state.rows_taken()));
  }
  run.state.late.clear();
  if (!run.to_table() || run.state.outputs.empty()) return {};
  const std::string missing = TRY(WhatIsMissing(run));
  if (!missing.empty()) return failed(missing);
  const catalog::SnapshotFiles now = TRY(catalog::FilesAsOf(run.tables, run.state.table, {}));
  std::set<std::string> live;
  for (const table::DataFile& file : now.files) live.insert(file.path);
  for (uint32_t i = 0; i < run.state.sources.size(); ++i) {
    if (run.state.sources[i].state != SourceFate::kTaken) continue;
    if (live.contains(run.request.sources[i].key)) run.state.late.push_back(i);
  }
  if (run.state.late.empty()) return {};
  const catalog::FileChanges ids = run.tables.NewChanges();
  run.state.late_snapshot_id = ids.snapshot_id;
  run.state.late_commit_id = ids.commit_id;
  return {};
}

Status CommitLate(CompactionRun& run) {
  catalog::FileChanges changes;
  changes.snapshot_id = run.state.late_snapshot_id;
  changes.commit_id = run.state.late_commit_id;
  changes.summary["varve.compaction"] = run.id();
  for (const uint32_t source : run.state.late) changes.removed.push_back(Removed(run, source));
  const auto done = run.tables.Commit(run.state.table, changes);
  if (!done.ok() && done.error().code != "SOURCE_NOT_LIVE") return done.error();
  kLateCommitted.Hit();
  return {};
}

Status FenceCommit(CompactionRun& run) {
  if (!run.to_table() || run.state.outputs.empty()) return {};
  const std::string& name = run.state.table;
  const catalog::Formats formats = TRY(run.tables.FormatsOf(name));
  const auto committed = [] {
    return MakeError(ErrorKind::kConflict, "ALREADY_COMMITTED", "the commit has been done");
  };
  // Where Delta is first, its log decides, and Iceberg follows.
  if (formats.iceberg && !TRY(run.tables.IsDeltaFirst(name))) {
    // Takes the version that an attempt under way would put.
    TRY(run.tables.iceberg().Update(
        name, [&](const catalog::IcebergHead& head) -> Result<std::optional<ice::TableMetadata>> {
          if (head.metadata.FindSnapshot(run.state.snapshot_id) != nullptr) return committed();
          return std::optional<ice::TableMetadata>(TRY(
              ice::WithProperties(head.metadata, head.location, {{kCancelledProperty, run.id()}},
                                  run.tables.iceberg().clock().NowMs())));
        }));
    if (TRY(IcebergHas(run))) return committed();
  }
  if (formats.delta) {
    if (TRY(CountInDelta(run)) > 0) return committed();
    dl::Change fence;
    fence.data_change = false;
    fence.commit_id = run.tables.delta().Nonce();
    fence.txn =
        dl::Txn{dl::kCommitTxnPrefix + run.state.commit_id, 0, run.tables.delta().clock().NowMs()};
    TRY(run.tables.delta().Commit(name, fence));
    if (TRY(CountInDelta(run)) > 0) return committed();
  }
  kFenced.Hit();
  return {};
}

}  // namespace varve::compact
