// Requirements against a table, updates done to its metadata, and the updates between two.
//
// Ids are the catalog's to give: a schema, spec or order that the table has already is found again,
// any other gets the next id, and -1 means the last one added, whichever of the two it was.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/letter_case.h"
#include "table/iceberg/commit.h"
#include "table/iceberg/json_types.h"
#include "table/iceberg/name_mapping.h"
#include "table/iceberg/update.h"

namespace varve::table::iceberg {
namespace {

using Kind = Update::Kind;

constexpr const char* kOurProperties = "varve.";
constexpr const char* kOurMarks = "varve.hwm.";

// Ids above are Iceberg's own, and there must be room for further ones.
constexpr int32_t kIdMax = 1 << 30;
constexpr int64_t kClockSkewMs = 86'400'000;

Error BadUpdate(std::string message) {
  return MakeError(ErrorKind::kInvalid, "BAD_UPDATE", std::move(message));
}

Error BaseChanged(std::string message) {
  return MakeError(ErrorKind::kConflict, "BASE_CHANGED", std::move(message));
}

bool SameText(std::string_view a, std::string_view b) { return FoldCase(a) == FoldCase(b); }

std::string_view WithoutSlash(std::string_view location) {
  while (location.ends_with('/')) location.remove_suffix(1);
  return location;
}

int32_t HighestId(const std::vector<Field>& fields) {
  int32_t highest = 0;
  for (const Field& field : fields) {
    highest = std::max({highest, field.id, HighestId(field.type.fields)});
  }
  return highest;
}

// The same but for the id.
template <typename T>
bool Alike(T a, const T& b) {
  a.id = b.id;
  return ToJson(a) == ToJson(b);
}

class Updater {
 public:
  Updater(TableMetadata base, TableMetadata next, bool exists)
      : base_(std::move(base)), next_(std::move(next)), exists_(exists) {}

  Result<TableMetadata> Run(const std::vector<Update>& updates) {
    varve_snapshots_ = std::any_of(updates.begin(), updates.end(), [](const Update& one) {
      return one.kind == Kind::kAddSnapshot && one.snapshot.summary.contains(kCommitIdKey);
    });
    for (const Update& update : updates) TRY(Apply(update));
    if (!exists_) TRY(FillNewTable());
    TRY(MainDescends());
    KeepLastOfLog();
    if (next_.current_schema_id != base_.current_schema_id) KeepMapping();
    const Status sound = CheckMetadata(next_, exists_ ? &base_ : nullptr, Step::kUpdates);
    if (!sound.ok()) return BadUpdate(sound.error().message);
    return std::move(next_);
  }

 private:
  Status Apply(const Update& update) {
    switch (update.kind) {
      case Kind::kAssignUuid:
        return AssignUuid(update.text);
      case Kind::kUpgradeFormat:
        if (update.number == 2) return {};
        return BadUpdate(fmt::format("format version {}: tables are of version 2", update.number));
      case Kind::kAddSchema:
        return AddSchema(update.schema);
      case Kind::kSetCurrentSchema:
        return Choose("schema", next_.schemas, added_schema_, update.number,
                      next_.current_schema_id);
      case Kind::kAddSpec:
        return AddSpec(update.spec);
      case Kind::kSetDefaultSpec:
        return Choose("partition spec", next_.specs, added_spec_, update.number,
                      next_.default_spec_id);
      case Kind::kAddOrder:
        return AddOrder(update.order);
      case Kind::kSetDefaultOrder:
        return Choose("sort order", next_.orders, added_order_, update.number,
                      next_.default_order_id);
      case Kind::kAddSnapshot:
        return AddSnapshot(update.snapshot);
      case Kind::kSetRef:
        return SetRef(update.text, update.ref);
      case Kind::kRemoveSnapshots:
        return RemoveSnapshots({update.ids.begin(), update.ids.end()});
      case Kind::kRemoveRef:
        if (update.text == "main") next_.current_snapshot_id.reset(), main_removed_ = true;
        next_.refs.erase(update.text);
        return {};
      case Kind::kSetLocation:
        if (WithoutSlash(update.text) == WithoutSlash(next_.location)) return {};
        return BadUpdate("a table stays where it is, which is '" + next_.location + "'");
      case Kind::kSetProperties:
        return SetProperties(update.properties);
      case Kind::kRemoveProperties:
        return RemoveProperties(update.names);
      case Kind::kSetStatistics:
        return SetFile("statistics", update.number, update.text);
      case Kind::kRemoveStatistics:
        return SetFile("statistics", update.number, {});
      case Kind::kSetPartitionStatistics:
        return SetFile("partition-statistics", update.number, update.text);
      case Kind::kRemovePartitionStatistics:
        return SetFile("partition-statistics", update.number, {});
      case Kind::kRemoveSpecs:
        return Remove("partition spec", next_.specs, next_.default_spec_id, update.ids);
      case Kind::kRemoveSchemas:
        return Remove("schema", next_.schemas, next_.current_schema_id, update.ids);
    }
    return BadUpdate("an unknown update");
  }

  Status AssignUuid(const std::string& uuid) {
    if (uuid.empty() || (exists_ && !SameText(uuid, base_.uuid))) {
      return BadUpdate("a table's uuid does not change");
    }
    if (!exists_) next_.uuid = uuid;
    return {};
  }

  // Finds an item like it, or adds it with the next id.
  template <typename T>
  int32_t FindOrAdd(std::vector<T>& items, T item, int32_t first_id) {
    int32_t id = first_id;
    for (const T& one : items) {
      if (Alike(one, item)) return one.id;
      if (one.id < kIdMax) id = std::max(id, one.id + 1);
    }
    item.id = id;
    items.push_back(std::move(item));
    return id;
  }

  template <typename T>
  static Status Choose(const char* what, const std::vector<T>& items, std::optional<int32_t> added,
                       int64_t asked, int32_t& chosen) {
    if (asked == -1 && !added) return BadUpdate(fmt::format("no {} has been added", what));
    const int64_t id = asked == -1 ? *added : asked;
    for (const T& one : items) {
      if (one.id != id) continue;
      chosen = one.id;
      return {};
    }
    return BadUpdate(fmt::format("there is no {} with id {}", what, id));
  }

  template <typename T>
  static Status Remove(const char* what, std::vector<T>& items, int32_t current,
                       const std::vector<int64_t>& ids) {
    const std::set<int64_t> gone(ids.begin(), ids.end());
    if (gone.contains(current)) return BadUpdate(fmt::format("the current {} stays", what));
    std::erase_if(items, [&](const T& one) { return gone.contains(one.id); });
    return {};
  }

  Status AddSchema(const Schema& schema) {
    if (schema.fields.empty()) return BadUpdate("a schema without columns");
    for (const int32_t id : schema.identifier_ids) {
      if (FindField(schema, id) == nullptr) {
        return BadUpdate(fmt::format("identifier field {} is no column", id));
      }
    }
    const int32_t highest = HighestId(schema.fields);
    if (highest > kIdMax) return BadUpdate(fmt::format("column id {} is too high", highest));
    next_.last_column_id = std::max(next_.last_column_id, highest);
    added_schema_ = FindOrAdd(next_.schemas, schema, 0);
    if (!exists_ && next_.schemas.size() == 1) next_.current_schema_id = *added_schema_;
    return {};
  }

  Status AddSpec(PartitionSpec spec) {
    const Schema* schema = next_.FindSchema(next_.current_schema_id);
    if (schema == nullptr) return BadUpdate("a partition spec before any schema");
    for (PartitionField& field : spec.fields) {
      if (field.transform != "void" && FindField(*schema, field.source_id) == nullptr) {
        return BadUpdate(
            fmt::format("a partition of column {}, which there is not", field.source_id));
      }
      if (field.field_id < 0) field.field_id = PartitionFieldId(field);
      if (field.field_id > kIdMax) return BadUpdate("a partition field's id is too high");
      next_.last_partition_id = std::max(next_.last_partition_id, field.field_id);
    }
    added_spec_ = FindOrAdd(next_.specs, std::move(spec), 0);
    return {};
  }

  // The id that an earlier spec gave to the same partition, or the next one.
  int32_t PartitionFieldId(const PartitionField& field) const {
    for (const PartitionSpec& spec : next_.specs) {
      for (const PartitionField& one : spec.fields) {
        if (one.source_id == field.source_id && one.transform == field.transform) {
          return one.field_id;
        }
      }
    }
    return next_.last_partition_id + 1;
  }

  Status AddOrder(const SortOrder& order) {
    const Schema* schema = next_.FindSchema(next_.current_schema_id);
    if (schema == nullptr) return BadUpdate("a sort order before any schema");
    for (const SortField& field : order.fields) {
      if (FindField(*schema, field.source_id) == nullptr) {
        return BadUpdate(fmt::format("a sort by column {}, which there is not", field.source_id));
      }
    }
    added_order_ = FindOrAdd(next_.orders, order, order.fields.empty() ? 0 : 1);
    return {};
  }

  Status AddSnapshot(const Snapshot& snapshot) {
    if (next_.schemas.empty()) return BadUpdate("a snapshot before any schema");
    if (next_.FindSnapshot(snapshot.id) != nullptr) {
      return BadUpdate(fmt::format("there is a snapshot {} already", snapshot.id));
    }
    if (snapshot.sequence_number <= next_.last_sequence_number) {
      return BaseChanged(fmt::format("the snapshot's sequence number is {}, the table's last is {}",
                                     snapshot.sequence_number, next_.last_sequence_number));
    }
    if (snapshot.sequence_number > next_.last_sequence_number + 1) {
      return BadUpdate("the snapshot's sequence number is not the table's next one");
    }
    if (snapshot.timestamp_ms < 0 || snapshot.timestamp_ms > next_.last_updated_ms + kClockSkewMs) {
      return BadUpdate("the snapshot's time is not of today");
    }
    if (snapshot.schema_id && next_.FindSchema(*snapshot.schema_id) == nullptr) {
      return BadUpdate(
          fmt::format("a snapshot of schema {}, which there is not", *snapshot.schema_id));
    }
    next_.last_sequence_number = snapshot.sequence_number;
    next_.last_updated_ms = std::max(next_.last_updated_ms, snapshot.timestamp_ms);
    next_.snapshots.push_back(snapshot);
    return {};
  }

  Status SetRef(const std::string& name, const Ref& ref) {
    const Snapshot* snapshot = next_.FindSnapshot(ref.snapshot_id);
    if (snapshot == nullptr) {
      return BadUpdate(
          fmt::format("ref '{}' to snapshot {}, which there is not", name, ref.snapshot_id));
    }
    if (name == "main") {
      if (!ref.is_branch) return BadUpdate("main is a branch");
      if (next_.current_snapshot_id != ref.snapshot_id) {
        const bool added = base_.FindSnapshot(ref.snapshot_id) == nullptr;
        LogEntry entry;
        entry.timestamp_ms = added ? snapshot->timestamp_ms : next_.last_updated_ms;
        entry.snapshot_id = ref.snapshot_id;
        next_.snapshot_log.push_back(entry);
      }
      next_.current_snapshot_id = ref.snapshot_id;
    }
    next_.refs[name] = ref;
    return {};
  }

  Status RemoveSnapshots(const std::set<int64_t>& gone) {
    for (const auto& [name, ref] : next_.refs) {
      if (gone.contains(ref.snapshot_id)) {
        return BadUpdate(fmt::format("snapshot {} is what ref '{}' names", ref.snapshot_id, name));
      }
    }
    std::erase_if(next_.snapshots, [&](const Snapshot& one) { return gone.contains(one.id); });
    for (const int64_t id : gone) {
      TRY(SetFile("statistics", id, {}));
      TRY(SetFile("partition-statistics", id, {}));
    }
    std::vector<LogEntry>& log = next_.snapshot_log;
    const auto last_gone = std::find_if(log.rbegin(), log.rend(), [&](const LogEntry& entry) {
      return gone.contains(entry.snapshot_id);
    });
    log_before_ -= std::min(log_before_, static_cast<size_t>(log.rend() - last_gone));
    log.erase(log.begin(), last_gone.base());
    return {};
  }

  Status SetProperties(const std::map<std::string, std::string>& properties) {
    for (const auto& [key, value] : properties) {
      const bool mark = varve_snapshots_ && key.starts_with(kOurMarks);
      if (key.starts_with(kOurProperties) && !mark) {
        return BadUpdate("'" + key + "' is what varve's writers keep there");
      }
      next_.properties[key] = value;
    }
    next_.properties.erase("format-version");
    return {};
  }

  Status RemoveProperties(const std::vector<std::string>& names) {
    for (const std::string& key : names) {
      if (key.starts_with(kOurProperties)) {
        return BadUpdate("'" + key + "' is what varve's writers keep there");
      }
      next_.properties.erase(key);
    }
    return {};
  }

  // A snapshot's file among those of that name; none: takes it away.
  Status SetFile(const char* name, int64_t snapshot_id, const std::string& file) {
    Json other = Json::parse(next_.other_json, nullptr, false);
    if (!other.is_object()) other = Json::object();
    if (file.empty() && !other.contains(name)) return {};
    Json files = other.value(name, Json::array());
    if (!files.is_array()) return BadUpdate(fmt::format("the table's {} is no list", name));
    Json kept = Json::array();
    for (Json& one : files) {
      const bool same = one.is_object() && one.value("snapshot-id", Json()) == snapshot_id;
      if (!same) kept.push_back(std::move(one));
    }
    if (!file.empty()) kept.push_back(Json::parse(file, nullptr, false));
    other[name] = std::move(kept);
    next_.other_json = other.dump();
    return {};
  }

  // What a new table has without being told.
  Status FillNewTable() {
    if (next_.uuid.empty()) return BadUpdate("a new table without a uuid");
    if (next_.schemas.empty()) return BadUpdate("a new table without a schema");
    if (next_.specs.empty()) TRY(AddSpec({}));
    if (next_.orders.empty()) TRY(AddOrder({}));
    return {};
  }

  // A commit to main follows what is there, whatever its requirements were: none is lost.
  Status MainDescends() const {
    if (!next_.current_snapshot_id || main_removed_) return {};
    std::optional<int64_t> at = next_.current_snapshot_id;
    if (base_.FindSnapshot(*at) != nullptr) return {};  // an older one, or the same
    for (size_t steps = 0; steps <= next_.snapshots.size(); ++steps) {
      const Snapshot* snapshot = at ? next_.FindSnapshot(*at) : nullptr;
      if (at == base_.current_snapshot_id) return {};
      if (snapshot == nullptr || base_.FindSnapshot(*at) != nullptr) break;
      at = snapshot->parent_id;
    }
    return BaseChanged("the new snapshot does not follow the table's current one");
  }

  // Snapshots that were current between two updates were so for nobody.
  void KeepLastOfLog() {
    std::vector<LogEntry>& log = next_.snapshot_log;
    if (log.size() > log_before_ + 1) {
      log.erase(log.begin() + static_cast<ptrdiff_t>(log_before_), log.end() - 1);
    }
  }

  void KeepMapping() {
    const auto before = base_.properties.find(kNameMapping);
    auto now = next_.properties.find(kNameMapping);
    if (before == base_.properties.end() || now == next_.properties.end()) return;
    if (now->second == before->second) {
      now->second = NameMappingJson(next_.schema(), before->second);
    }
  }

  const TableMetadata base_;
  TableMetadata next_;
  const bool exists_;
  size_t log_before_ = base_.snapshot_log.size();
  std::optional<int32_t> added_schema_, added_spec_, added_order_;
  bool main_removed_ = false;
  bool varve_snapshots_ = false;
};

Status Check(const Requirement& requirement, const TableMetadata* base) {
  const auto failed = [](std::string what) {
    return MakeError(ErrorKind::kConflict, "REQUIREMENT_FAILED",
                     "requirement failed: " + std::move(what));
  };
  if (requirement.kind == Requirement::Kind::kCreate) {
    return base == nullptr ? Status() : failed("the table exists");
  }
  if (base == nullptr) return failed("there is no table");
  const auto equals = [&](const char* what, int64_t is) -> Status {
    if (requirement.number == is) return {};
    return failed(fmt::format("{} is {}, not {}", what, is, requirement.number.value_or(-1)));
  };
  switch (requirement.kind) {
    case Requirement::Kind::kUuid:
      return SameText(requirement.text, base->uuid)
                 ? Status()
                 : failed("the table's uuid is " + base->uuid + ", not " + requirement.text);
    case Requirement::Kind::kRef: {
      const auto ref = base->refs.find(requirement.text);
      const bool there = ref != base->refs.end();
      if (there == requirement.number.has_value() &&
          (!there || ref->second.snapshot_id == *requirement.number)) {
        return {};
      }
      return failed(there ? fmt::format("ref '{}' has changed: it is snapshot {}", requirement.text,
                                        ref->second.snapshot_id)
                          : fmt::format("there is no ref '{}'", requirement.text));
    }
    case Requirement::Kind::kLastFieldId:
      return equals("the last column id", base->last_column_id);
    case Requirement::Kind::kCurrentSchemaId:
      return equals("the current schema's id", base->current_schema_id);
    case Requirement::Kind::kLastPartitionId:
      return equals("the last partition field's id", base->last_partition_id);
    case Requirement::Kind::kDefaultSpecId:
      return equals("the default partition spec's id", base->default_spec_id);
    case Requirement::Kind::kDefaultOrderId:
      return equals("the default sort order's id", base->default_order_id);
    case Requirement::Kind::kCreate:
      break;
  }
  return {};
}

}  // namespace

Status CheckRequirements(const std::vector<Requirement>& requirements, const TableMetadata* base) {
  for (const Requirement& one : requirements) TRY(Check(one, base));
  return {};
}

Result<TableMetadata> ApplyUpdates(const TableMetadata& base, const std::string& base_location,
                                   const std::vector<Update>& updates, int64_t now_ms) {
  return Updater(base, Follow(base, base_location, now_ms), true).Run(updates);
}

Result<TableMetadata> ApplyUpdates(const NewPlace& place, const std::vector<Update>& updates,
                                   int64_t now_ms) {
  TableMetadata next;
  next.location = place.location;
  next.uuid = place.uuid;
  next.last_updated_ms = now_ms;
  return Updater({}, std::move(next), false).Run(updates);
}

TableMetadata WithReferencedSnapshots(TableMetadata metadata) {
  std::set<int64_t> named;
  for (const auto& item : metadata.refs) named.insert(item.second.snapshot_id);
  std::erase_if(metadata.snapshots, [&](const Snapshot& one) { return !named.contains(one.id); });
  return metadata;
}

std::vector<std::string> StatisticsFiles(const TableMetadata& metadata) {
  std::vector<std::string> out;
  const Json other = Json::parse(metadata.other_json, nullptr, false);
  if (!other.is_object()) return out;
  for (const char* name : {"statistics", "partition-statistics"}) {
    for (const Json& file : other.value(name, Json::array())) {
      const Json path = file.is_object() ? file.value("statistics-path", Json()) : Json();
      if (path.is_string()) out.push_back(path.get<std::string>());
    }
  }
  return out;
}

}  // namespace varve::table::iceberg
