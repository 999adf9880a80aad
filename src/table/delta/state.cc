#include "table/delta/state.h"

#include <fmt/format.h>

#include <charconv>

#include "core/version.h"
#include "table/delta/partition_columns.h"
#include "table/json_reading.h"

namespace varve::table::delta {
namespace {

constexpr const char* kCommitId = "varveCommitId";
constexpr const char* kInformed = "varveInformed";

Error Conflict(std::string code, std::string message) {
  return MakeError(ErrorKind::kConflict, std::move(code), std::move(message));
}

std::string InfoJson(const std::string& operation,
                     const std::map<std::string, std::string>& parameters,
                     const std::string& commit_id, int64_t now_ms, bool informed = false) {
  nlohmann::ordered_json info;
  info["timestamp"] = now_ms;
  info["operation"] = operation;
  info["operationParameters"] = nlohmann::ordered_json::object();
  for (const auto& [key, value] : parameters) info["operationParameters"][key] = value;
  info["engineInfo"] = "varve/" + std::string(Version());
  info["txnId"] = commit_id;
  info[kCommitId] = commit_id;
  if (informed) info[kInformed] = "true";
  return info.dump();
}

Json InfoOf(const Commit& commit) { return Json::parse(commit.info_json, nullptr, false); }

std::string TextOf(const Json& info, const char* name) {
  if (!info.is_object()) return {};
  const auto text = Optional<std::string>(info, name);
  return text.ok() ? text->value_or("") : std::string();
}

}  // namespace

Status State::Apply(int64_t next, const Commit& commit) {
  if (next != version + 1) {
    return MakeError(ErrorKind::kCorrupt, "BAD_COMMIT",
                     fmt::format("version {} after version {}", next, version));
  }
  if (next == 0 && (!commit.protocol || !commit.table)) {
    return MakeError(ErrorKind::kCorrupt, "BAD_COMMIT", "version 0 has no protocol or metaData");
  }
  if (commit.protocol) {
    TRY(CheckReaderProtocol(*commit.protocol));
    protocol = *commit.protocol;
  }
  if (commit.table) table = *commit.table;
  for (const Remove& remove : commit.removes) {
    files.erase(remove.path);
    tombstones[remove.path] = remove;
  }
  for (const Add& add : commit.adds) {
    tombstones.erase(add.path);
    files[add.path] = add;
  }
  for (const Txn& txn : commit.txns) txns[txn.app_id] = txn;
  version = next;
  if (IsInformed(commit)) informed_version = next;
  if (const int64_t time = TimestampOf(commit); time > 0) timestamp_ms = time;
  return {};
}

Result<Built> BuildCommit(const State& base, const Change& change, int64_t now_ms) {
  Built built;
  if (change.txn) {
    const auto there = base.txns.find(change.txn->app_id);
    built.already_done = there != base.txns.end() && there->second.version >= change.txn->version;
    if (built.already_done) return built;
  }
  if (change.table_id && *change.table_id != base.table.id) {
    return Conflict("TABLE_CHANGED", "the table was dropped and made anew");
  }
  if (change.old_schema_json && *change.old_schema_json != base.table.schema_json) {
    return Conflict("TABLE_CHANGED", "the table's schema has changed");
  }
  if (!change.adds.empty()) TRY(CheckTakesFiles(base.table));
  Commit& commit = built.commit;
  commit.info_json = InfoJson(change.operation, change.parameters, change.commit_id,
                              std::max(now_ms, base.timestamp_ms), change.informed);
  commit.table = change.table;
  if (change.table) {
    const Schema schema = TRY(SchemaFromJson(change.table->schema_json));
    commit.protocol = ProtocolChange(base.protocol, schema);
  }
  if (change.txn) commit.txns.push_back(*change.txn);
  for (const Txn& txn : change.brought) {
    const auto there = base.txns.find(txn.app_id);
    if (there == base.txns.end() || there->second.version < txn.version) {
      commit.txns.push_back(txn);
    }
  }
  for (const Add& add : change.adds) {
    if (base.files.contains(add.path)) {
      return Conflict("FILE_ALREADY_LIVE", fmt::format("'{}' is live already", add.path));
    }
    commit.adds.push_back(add);
    commit.adds.back().data_change = change.data_change;
  }
  for (const std::string& path : change.removes) {
    const auto live = base.files.find(path);
    if (live == base.files.end()) {
      return Conflict("SOURCE_NOT_LIVE", fmt::format("'{}' is not live in the table", path));
    }
    Remove remove;
    remove.path = live->second.path;
    remove.partition = live->second.partition;
    remove.bytes = live->second.bytes;
    remove.deleted_ms = now_ms;
    remove.data_change = change.data_change;
    commit.removes.push_back(std::move(remove));
  }
  return built;
}

Result<Commit> CreateCommit(const std::string& id, const std::string& name, const Schema& schema,
                            const std::map<std::string, std::string>& configuration,
                            const std::string& commit_id, int64_t now_ms) {
  Commit commit;
  commit.info_json = InfoJson("CREATE TABLE", {}, commit_id, now_ms);
  commit.protocol = ProtocolFor(schema);
  TableInfo table;
  table.id = id;
  table.name = name;
  table.schema_json = TRY(SchemaToJson(schema));
  table.configuration = configuration;
  table.created_ms = now_ms;
  commit.table = std::move(table);
  return commit;
}

std::string CommitIdOf(const Commit& commit) { return TextOf(InfoOf(commit), kCommitId); }
bool IsInformed(const Commit& commit) { return TextOf(InfoOf(commit), kInformed) == "true"; }
std::string OperationOf(const Commit& commit) { return TextOf(InfoOf(commit), "operation"); }

int64_t TimestampOf(const Commit& commit) {
  const Json info = InfoOf(commit);
  if (!info.is_object()) return 0;
  const auto time = Optional<int64_t>(info, "timestamp");
  return time.ok() ? time->value_or(0) : 0;
}

int64_t IntervalMs(const std::string& text, int64_t otherwise) {
  std::string_view rest = text;
  for (const std::string_view word : {"interval ", "INTERVAL "}) {
    if (rest.starts_with(word)) rest.remove_prefix(word.size());
  }
  int64_t number = 0;
  const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  if (error != std::errc() || number < 0 || number > 1'000'000) return otherwise;
  rest.remove_prefix(static_cast<size_t>(stop - rest.data()));
  while (rest.starts_with(" ")) rest.remove_prefix(1);
  constexpr std::pair<std::string_view, int64_t> kUnits[] = {
      {"millisecond", 1},  {"second", 1000},    {"minute", 60'000},
      {"hour", 3'600'000}, {"day", 86'400'000}, {"week", int64_t{7} * 86'400'000},
  };
  for (const auto& [unit, ms] : kUnits) {
    if (rest.starts_with(unit)) return number * ms;
  }
  return otherwise;
}

int64_t TombstoneRetentionMs(const TableInfo& table) {
  const auto set = table.configuration.find(kTombstoneRetention);
  return set == table.configuration.end() ? kTombstoneRetentionMs
                                          : IntervalMs(set->second, kTombstoneRetentionMs);
}

}  // namespace varve::table::delta
