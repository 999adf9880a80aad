// What a catalog must be told so that its table becomes what we have built on its base.
#include <algorithm>
#include <set>

#include "table/iceberg/json_types.h"
#include "table/iceberg/update.h"

namespace varve::table::iceberg {
namespace {

using Kind = Update::Kind;

Update Make(Kind kind) {
  Update update;
  update.kind = kind;
  return update;
}

void AddSchemas(const TableMetadata& base, const TableMetadata& next, CommitRequest& out) {
  for (const Schema& schema : next.schemas) {
    if (base.FindSchema(schema.id) != nullptr) continue;
    Update update = Make(Kind::kAddSchema);
    update.schema = schema;
    out.updates.push_back(std::move(update));
  }
  if (next.current_schema_id == base.current_schema_id) return;
  Update update = Make(Kind::kSetCurrentSchema);
  const bool added = base.FindSchema(next.current_schema_id) == nullptr;
  update.number = added ? -1 : next.current_schema_id;
  out.updates.push_back(std::move(update));
  // Their ids, and that nobody else has given the same ones.
  Requirement columns;
  columns.kind = Requirement::Kind::kLastFieldId;
  columns.number = base.last_column_id;
  out.requirements.push_back(std::move(columns));
  Requirement schema;
  schema.kind = Requirement::Kind::kCurrentSchemaId;
  schema.number = base.current_schema_id;
  out.requirements.push_back(std::move(schema));
}

void AddProperties(const TableMetadata& base, const TableMetadata& next, CommitRequest& out) {
  Update set = Make(Kind::kSetProperties), removed = Make(Kind::kRemoveProperties);
  for (const auto& [key, value] : next.properties) {
    const auto before = base.properties.find(key);
    if (before == base.properties.end() || before->second != value) set.properties[key] = value;
  }
  for (const auto& item : base.properties) {
    if (!next.properties.contains(item.first)) removed.names.push_back(item.first);
  }
  if (!set.properties.empty()) out.updates.push_back(std::move(set));
  if (!removed.names.empty()) out.updates.push_back(std::move(removed));
}

void AddHistory(const TableMetadata& base, const TableMetadata& next, CommitRequest& out) {
  for (const Snapshot& snapshot : next.snapshots) {
    if (base.FindSnapshot(snapshot.id) != nullptr) continue;
    Update update = Make(Kind::kAddSnapshot);
    update.snapshot = snapshot;
    out.updates.push_back(std::move(update));
  }
  for (const auto& [name, ref] : next.refs) {
    const auto before = base.refs.find(name);
    if (before != base.refs.end() && before->second.snapshot_id == ref.snapshot_id) continue;
    Update update = Make(Kind::kSetRef);
    update.text = name;
    update.ref = ref;
    out.updates.push_back(std::move(update));
  }
  Update gone = Make(Kind::kRemoveSnapshots);
  for (const Snapshot& snapshot : base.snapshots) {
    if (next.FindSnapshot(snapshot.id) == nullptr) gone.ids.push_back(snapshot.id);
  }
  if (!gone.ids.empty()) out.updates.push_back(std::move(gone));
}

}  // namespace

CommitRequest RequestBetween(const TableMetadata& base, const TableMetadata& next) {
  CommitRequest out;
  Requirement uuid;
  uuid.kind = Requirement::Kind::kUuid;
  uuid.text = base.uuid;
  out.requirements.push_back(std::move(uuid));
  Requirement main;
  main.kind = Requirement::Kind::kRef;
  main.text = "main";
  main.number = base.current_snapshot_id;
  out.requirements.push_back(std::move(main));
  AddSchemas(base, next, out);
  AddHistory(base, next, out);
  AddProperties(base, next, out);
  return out;
}

}  // namespace varve::table::iceberg
