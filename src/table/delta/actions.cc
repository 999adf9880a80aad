#include "table/delta/actions.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/bytes.h"
#include "table/json_reading.h"

namespace varve::table::delta {
namespace {

using OrderedJson = nlohmann::ordered_json;

Error BadCommit(std::string_view what) {
  return MakeError(ErrorKind::kCorrupt, "BAD_COMMIT", "Delta commit: " + std::string(what));
}

Error Unsupported(std::string_view what) {
  return MakeError(ErrorKind::kInvalid, "UNSUPPORTED_PROTOCOL",
                   fmt::format("the Delta table uses {}, which is not known here", what));
}

Result<PartitionValues> PartitionFrom(const Json& json) {
  PartitionValues values;
  const auto at = json.find("partitionValues");
  if (at == json.end() || at->is_null()) return values;
  if (!at->is_object()) return BadCommit("partitionValues");
  for (const auto& item : at->items()) {
    if (item.value().is_null()) {
      values[item.key()] = std::nullopt;
    } else if (item.value().is_string()) {
      values[item.key()] = item.value().get<std::string>();
    } else {
      return BadCommit("partitionValues");
    }
  }
  return values;
}

OrderedJson PartitionJson(const PartitionValues& values) {
  OrderedJson json = OrderedJson::object();
  for (const auto& [key, value] : values) json[key] = value ? OrderedJson(*value) : OrderedJson();
  return json;
}

bool HasDeletionVector(const Json& json) {
  const auto at = json.find("deletionVector");
  return at != json.end() && !at->is_null();
}

Result<std::vector<std::string>> Names(const Json& json, const char* name) {
  std::vector<std::string> out;
  for (const Json& one : *TRY(Array(json, name, false))) {
    if (!one.is_string()) return BadCommit(name);
    out.push_back(one.get<std::string>());
  }
  return out;
}

Result<Add> AddFrom(const Json& json) {
  if (HasDeletionVector(json)) return Unsupported("deletion vectors");
  Add add;
  add.path = TRY(Need<std::string>(json, "path"));
  add.partition = TRY(PartitionFrom(json));
  add.bytes = TRY(Need<int64_t>(json, "size"));
  add.modified_ms = TRY(Optional<int64_t>(json, "modificationTime")).value_or(0);
  add.data_change = TRY(Optional<bool>(json, "dataChange")).value_or(true);
  add.stats_json = TRY(Optional<std::string>(json, "stats")).value_or("");
  return add;
}

Result<Remove> RemoveFrom(const Json& json) {
  if (HasDeletionVector(json)) return Unsupported("deletion vectors");
  Remove remove;
  remove.path = TRY(Need<std::string>(json, "path"));
  remove.partition = TRY(PartitionFrom(json));
  remove.deleted_ms = TRY(Optional<int64_t>(json, "deletionTimestamp"));
  remove.bytes = TRY(Optional<int64_t>(json, "size"));
  remove.data_change = TRY(Optional<bool>(json, "dataChange")).value_or(true);
  return remove;
}

Result<TableInfo> TableFrom(const Json& json) {
  TableInfo table;
  table.id = TRY(Need<std::string>(json, "id"));
  table.name = TRY(Optional<std::string>(json, "name")).value_or("");
  table.description = TRY(Optional<std::string>(json, "description")).value_or("");
  table.schema_json = TRY(Need<std::string>(json, "schemaString"));
  table.partition_columns = TRY(Names(json, "partitionColumns"));
  table.configuration = TRY(Strings(json, "configuration"));
  table.created_ms = TRY(Optional<int64_t>(json, "createdTime"));
  return table;
}

Status TakeAction(const std::string& name, const Json& json, Commit& out) {
  if (!json.is_object()) return BadCommit("an action is no object");
  if (name == "add") {
    out.adds.push_back(TRY(AddFrom(json)));
  } else if (name == "remove") {
    out.removes.push_back(TRY(RemoveFrom(json)));
  } else if (name == "metaData") {
    if (out.table) return BadCommit("two metaData actions");
    out.table = TRY(TableFrom(json));
  } else if (name == "protocol") {
    if (out.protocol) return BadCommit("two protocol actions");
    Protocol protocol;
    protocol.reader = TRY(Need<int32_t>(json, "minReaderVersion"));
    protocol.writer = TRY(Need<int32_t>(json, "minWriterVersion"));
    protocol.reader_features = TRY(Names(json, "readerFeatures"));
    protocol.writer_features = TRY(Names(json, "writerFeatures"));
    out.protocol = std::move(protocol);
  } else if (name == "txn") {
    Txn txn;
    txn.app_id = TRY(Need<std::string>(json, "appId"));
    txn.version = TRY(Need<int64_t>(json, "version"));
    txn.updated_ms = TRY(Optional<int64_t>(json, "lastUpdated"));
    out.txns.push_back(std::move(txn));
  } else if (name == "commitInfo") {
    out.info_json = json.dump();
  } else if (name == "sidecar" || name == "checkpointMetadata") {
    return Unsupported("v2 checkpoints");
  }
  return {};  // cdc and whatever else a reader may pass over
}

void Line(std::string& out, const char* name, OrderedJson body) {
  OrderedJson line;
  line[name] = std::move(body);
  if (!out.empty()) out += '\n';
  out += line.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

OrderedJson TableJson(const TableInfo& table) {
  OrderedJson json;
  json["id"] = table.id;
  if (!table.name.empty()) json["name"] = table.name;
  if (!table.description.empty()) json["description"] = table.description;
  json["format"] = {{"provider", "parquet"}, {"options", OrderedJson::object()}};
  json["schemaString"] = table.schema_json;
  json["partitionColumns"] = table.partition_columns;
  json["configuration"] = OrderedJson::object();
  for (const auto& [key, value] : table.configuration) json["configuration"][key] = value;
  if (table.created_ms) json["createdTime"] = *table.created_ms;
  return json;
}

OrderedJson AddJson(const Add& add) {
  OrderedJson json;
  json["path"] = add.path;
  json["partitionValues"] = PartitionJson(add.partition);
  json["size"] = add.bytes;
  json["modificationTime"] = add.modified_ms;
  json["dataChange"] = add.data_change;
  if (!add.stats_json.empty()) json["stats"] = add.stats_json;
  return json;
}

OrderedJson RemoveJson(const Remove& remove) {
  OrderedJson json;
  json["path"] = remove.path;
  if (remove.deleted_ms) json["deletionTimestamp"] = *remove.deleted_ms;
  json["dataChange"] = remove.data_change;
  json["extendedFileMetadata"] = true;
  json["partitionValues"] = PartitionJson(remove.partition);
  if (remove.bytes) json["size"] = *remove.bytes;
  return json;
}

OrderedJson ProtocolJson(const Protocol& protocol) {
  OrderedJson json;
  json["minReaderVersion"] = protocol.reader;
  json["minWriterVersion"] = protocol.writer;
  if (protocol.reader >= 3) json["readerFeatures"] = protocol.reader_features;
  if (protocol.writer >= 7) json["writerFeatures"] = protocol.writer_features;
  return json;
}

Status CheckUnique(const Commit& commit) {
  std::set<std::string> seen;
  const auto twice = [&](const std::string& name) -> Status {
    if (seen.insert(name).second) return {};
    return MakeError(ErrorKind::kInvalid, "BAD_COMMIT",
                     fmt::format("'{}' is in two actions of one commit", name));
  };
  for (const Add& add : commit.adds) TRY(twice(add.path));
  for (const Remove& remove : commit.removes) TRY(twice(remove.path));
  seen.clear();
  for (const Txn& txn : commit.txns) TRY(twice(txn.app_id));
  return {};
}

Status CheckFeatures(const std::vector<std::string>& features) {
  for (const std::string& feature : features) {
    const bool known =
        feature == "timestampNtz" || feature == "appendOnly" || feature == "invariants";
    if (!known) return Unsupported("the feature " + feature);
  }
  return {};
}

}  // namespace

Result<Commit> ParseCommit(std::string_view lines) {
  if (lines.size() > kCommitBytesMax) return BadCommit("is larger than any");
  if (lines.empty()) return BadCommit("is empty, as if cut short");  // no engine writes such a one
  Commit out;
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    if (line.empty() || line == "\r") continue;  // others' blank lines
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object()) return BadCommit("a line is no JSON object, or cut short");
    for (const auto& item : json.items()) {
      if (!item.value().is_null()) TRY(TakeAction(item.key(), item.value(), out));
    }
  }
  return out;
}

Result<std::string> WriteCommit(const Commit& commit) {
  TRY(CheckUnique(commit));
  std::string out;
  const auto info = OrderedJson::parse(commit.info_json, nullptr, false);
  if (info.is_object()) Line(out, "commitInfo", info);
  if (commit.protocol) Line(out, "protocol", ProtocolJson(*commit.protocol));
  if (commit.table) Line(out, "metaData", TableJson(*commit.table));
  for (const Txn& txn : commit.txns) {
    OrderedJson json;
    json["appId"] = txn.app_id;
    json["version"] = txn.version;
    if (txn.updated_ms) json["lastUpdated"] = *txn.updated_ms;
    Line(out, "txn", std::move(json));
  }
  for (const Add& add : commit.adds) Line(out, "add", AddJson(add));
  for (const Remove& remove : commit.removes) Line(out, "remove", RemoveJson(remove));
  return out;
}

Status CheckReaderProtocol(const Protocol& protocol) {
  if (protocol.reader > 3 || protocol.reader == 2) {
    return Unsupported(fmt::format("reader version {}", protocol.reader));
  }
  return CheckFeatures(protocol.reader_features);
}

Status CheckWriterProtocol(const Protocol& protocol) {
  TRY(CheckReaderProtocol(protocol));
  if (protocol.writer > 2 && protocol.writer != 7) {
    return Unsupported(fmt::format("writer version {}", protocol.writer));
  }
  return CheckFeatures(protocol.writer_features);
}

std::string EncodePath(std::string_view path) {
  std::string out;
  for (const char c : path) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (word || std::string_view("-_.!~*'()/=").find(c) != std::string_view::npos) {
      out.push_back(c);
    } else {
      out += fmt::format("%{:02X}", static_cast<uint8_t>(c));
    }
  }
  return out;
}

std::optional<std::string> DecodePath(std::string_view path) {
  std::string out;
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      out.push_back(path[i]);
      continue;
    }
    if (i + 2 >= path.size()) return std::nullopt;
    const auto byte = HexDecode(path.substr(i + 1, 2));
    if (!byte) return std::nullopt;
    out += *byte;
    i += 2;
  }
  return out;
}

}  // namespace varve::table::delta
