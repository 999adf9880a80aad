#include "compact/compaction_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "catalog/table_place.h"
#include "core/clock.h"
#include "parquet/codec.h"
#include "store/object_store.h"
#include "table/json_reading.h"

namespace varve::compact {
namespace {

using table::Json;
using table::Need;

constexpr size_t kRequestBytesMax = size_t{32} << 20;
constexpr size_t kEtagBytesMax = 256;
constexpr size_t kNameBytesMax = 1024;
constexpr std::array<std::string_view, 6> kCodecs = {"none",   "snappy", "gzip",
                                                     "brotli", "zstd",   "lz4"};
constexpr std::array<std::string_view, 3> kPartitions = {"none", "hour", "day"};

Error Bad(std::string what) {
  return MakeError(ErrorKind::kCorrupt, "BAD_REQUEST",
                   "a compaction's request: " + std::move(what));
}

std::string CodecText(const parquet::CodecChoice& codec) {
  for (const std::string_view name : kCodecs) {
    const auto known = parquet::ParseCodec(name);
    if (!known.ok() || known->codec != codec.codec) continue;
    return codec.has_level ? fmt::format("{}:{}", name, codec.level) : std::string(name);
  }
  return "none";
}

Status CheckMembers(const Json& object, std::initializer_list<std::string_view> known) {
  if (!object.is_object()) return Bad("an object is expected");
  for (const auto& item : object.items()) {
    if (std::find(known.begin(), known.end(), item.key()) == known.end()) {
      return Bad("the member '" + item.key() + "' is not known");
    }
  }
  return {};
}

Result<SourceFile> ReadSource(const Json& json) {
  TRY(CheckMembers(json, {"key", "etag", "writer", "size", "timeMs", "sequence"}));
  SourceFile source;
  source.key = TRY(Need<std::string>(json, "key"));
  source.etag = TRY(Need<std::string>(json, "etag"));
  source.writer = TRY(Need<std::string>(json, "writer"));
  const int64_t size = TRY(Need<int64_t>(json, "size"));
  const int64_t sequence = TRY(Need<int64_t>(json, "sequence"));
  source.time_ms = TRY(Need<int64_t>(json, "timeMs"));
  TRY(store::CheckKey(source.key));
  if (source.etag.empty() || source.etag.size() > kEtagBytesMax) return Bad("an ETag");
  if (source.writer.size() > kNameBytesMax) return Bad("a writer's name");
  if (size < 0 || sequence < 0) return Bad("a size or a sequence below 0");
  source.size = static_cast<uint64_t>(size);
  source.sequence = static_cast<uint64_t>(sequence);
  return source;
}

Result<merge::SortKey> ReadSortKey(const Json& json) {
  TRY(CheckMembers(json, {"column", "descending", "nullsFirst"}));
  merge::SortKey key;
  key.column = TRY(Need<std::string>(json, "column"));
  key.descending = TRY(Need<bool>(json, "descending"));
  key.nulls_first = TRY(Need<bool>(json, "nullsFirst"));
  if (key.column.empty() || key.column.size() > kNameBytesMax) return Bad("a sort column");
  return key;
}

Result<uint64_t> Amount(const Json& json, const char* name) {
  const int64_t amount = TRY(Need<int64_t>(json, name));
  if (amount < 0) return Bad(fmt::format("'{}' is below 0", name));
  return static_cast<uint64_t>(amount);
}

Result<CompactionSettings> ReadSettings(const Json& json) {
  TRY(CheckMembers(json, {"target", "sortBy", "partitionBy", "codec", "fileBytesMax", "fileRowsMax",
                          "batchBytesMax", "graceMs", "deleteSources"}));
  CompactionSettings settings;
  settings.target = TRY(ParseTargetFormat(TRY(Need<std::string>(json, "target"))));
  settings.partition_by = TRY(ParsePartitionBy(TRY(Need<std::string>(json, "partitionBy"))));
  settings.codec = TRY(parquet::ParseCodec(TRY(Need<std::string>(json, "codec"))));
  for (const Json& key : *TRY(table::Array(json, "sortBy", true))) {
    settings.sort_by.push_back(TRY(ReadSortKey(key)));
  }
  if (settings.sort_by.size() > kCompactionSortKeysMax) return Bad("too many sort columns");
  settings.file_bytes_max = TRY(Amount(json, "fileBytesMax"));
  settings.file_rows_max = TRY(Amount(json, "fileRowsMax"));
  settings.batch_bytes_max = TRY(Amount(json, "batchBytesMax"));
  settings.grace_ms = TRY(Amount(json, "graceMs"));
  settings.delete_sources = TRY(Need<bool>(json, "deleteSources"));
  return settings;
}

Json SettingsJson(const CompactionSettings& settings) {
  Json keys = Json::array();
  for (const merge::SortKey& key : settings.sort_by) {
    keys.push_back(
        {{"column", key.column}, {"descending", key.descending}, {"nullsFirst", key.nulls_first}});
  }
  return {{"target", ToString(settings.target)},
          {"sortBy", std::move(keys)},
          {"partitionBy", ToString(settings.partition_by)},
          {"codec", CodecText(settings.codec)},
          {"fileBytesMax", settings.file_bytes_max},
          {"fileRowsMax", settings.file_rows_max},
          {"batchBytesMax", settings.batch_bytes_max},
          {"graceMs", settings.grace_ms},
          {"deleteSources", settings.delete_sources}};
}

}  // namespace

std::string ToString(const TargetFormat& target) {
  return target.parquet ? "parquet" : std::string(catalog::ToString(target.tables));
}

Result<TargetFormat> ParseTargetFormat(std::string_view text) {
  TargetFormat target;
  target.parquet = text == "parquet";
  target.tables = catalog::ParseFormats(text);
  if (target.parquet || target.tables.any()) return target;
  return MakeError(ErrorKind::kInvalid, "INVALID_TARGET",
                   fmt::format("'{}' is none of iceberg, delta, iceberg+delta, parquet", text));
}

std::string_view ToString(PartitionBy partition_by) {
  return kPartitions[static_cast<size_t>(partition_by)];
}

Result<PartitionBy> ParsePartitionBy(std::string_view text) {
  for (size_t i = 0; i < kPartitions.size(); ++i) {
    if (kPartitions[i] == text) return static_cast<PartitionBy>(i);
  }
  return MakeError(ErrorKind::kInvalid, "INVALID_PARTITION",
                   fmt::format("'{}' is none of none, hour, day", text));
}

std::string ToJson(const CompactionRequest& request) {
  Json sources = Json::array();
  for (const SourceFile& source : request.sources) {
    sources.push_back({{"key", source.key},
                       {"etag", source.etag},
                       {"writer", source.writer},
                       {"size", source.size},
                       {"timeMs", source.time_ms},
                       {"sequence", source.sequence}});
  }
  return Json({{"tenant", request.tenant.name()},
               {"namespace", request.ns},
               {"windowStartMs", request.window_start_ms},
               {"windowEndMs", request.window_end_ms},
               {"sources", std::move(sources)},
               {"settings", SettingsJson(request.settings)}})
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<CompactionRequest> ParseCompactionRequest(std::string_view json) {
  const Json object = TRY(table::ParseObject(json, kRequestBytesMax));
  TRY(CheckMembers(object,
                   {"tenant", "namespace", "windowStartMs", "windowEndMs", "sources", "settings"}));
  CompactionRequest request;
  request.tenant = TRY(NamespaceId::Parse(TRY(Need<std::string>(object, "tenant"))));
  request.ns = TRY(Need<std::string>(object, "namespace"));
  TRY(TableNameOf(request.ns));
  request.window_start_ms = TRY(Need<int64_t>(object, "windowStartMs"));
  request.window_end_ms = TRY(Need<int64_t>(object, "windowEndMs"));
  if (request.window_end_ms < request.window_start_ms) return Bad("a window that ends first");
  const Json& sources = *TRY(table::Array(object, "sources", true));
  if (sources.size() > kCompactionSourcesMax) {
    return Bad(fmt::format("more than {} sources", kCompactionSourcesMax));
  }
  for (const Json& source : sources) request.sources.push_back(TRY(ReadSource(source)));
  const auto settings = object.find("settings");
  if (settings == object.end()) return Bad("there are no settings");
  request.settings = TRY(ReadSettings(*settings));
  return request;
}

Result<std::string> TableNameOf(std::string_view data_namespace) {
  std::string name(data_namespace);
  std::replace(name.begin(), name.end(), '/', '.');
  TRY(catalog::CheckTableName(name));
  return name;
}

std::string SubjectOf(const CompactionRequest& request) {
  const std::string tenant = request.tenant.is_default() ? "" : request.tenant.name() + "/";
  return tenant + request.ns + "@" + FormatIso(request.window_start_ms);
}

}  // namespace varve::compact
