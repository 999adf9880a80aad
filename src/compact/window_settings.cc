#include "compact/window_settings.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace varve::compact {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kWaits[kPriorities] = {60'000, 300'000, 900'000, 3'600'000};
constexpr uint64_t kMinFilesMax = 1'000'000;
constexpr uint64_t kWaitMsMax = 86'400'000;
constexpr size_t kColumnBytesMax = 256;

Error InvalidField(std::string_view name, std::string_view what) {
  return MakeError(ErrorKind::kInvalid, "INVALID_FIELD", fmt::format("{}: {}", name, what));
}

std::string_view Trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

Status ReadPriority(const Json& value, NamespaceOverrides& out) {
  if (value.is_null()) {
    out.priority.reset();
    return {};
  }
  if (!value.is_number_integer() || value.get<int64_t>() < 0 ||
      value.get<int64_t>() >= kPriorities) {
    return InvalidField("priority", "must be 0, 1, 2 or 3");
  }
  out.priority = value.get<int>();
  return {};
}

Status ReadNumber(std::string_view name, const Json& value, uint64_t least, uint64_t most,
                  std::optional<uint64_t>& out) {
  out.reset();
  if (value.is_null()) return {};
  if (!value.is_number_unsigned() || value.get<uint64_t>() < least ||
      value.get<uint64_t>() > most) {
    return InvalidField(name, fmt::format("must be {} to {}", least, most));
  }
  out = value.get<uint64_t>();
  return {};
}

Status ReadDelete(const Json& value, NamespaceOverrides& out) {
  out.delete_sources.reset();
  if (value.is_null()) return {};
  if (!value.is_boolean()) return InvalidField("deleteSources", "must be true or false");
  out.delete_sources = value.get<bool>();
  return {};
}

template <typename Parse>
Status ReadText(std::string_view name, const Json& value, std::optional<std::string>& out,
                Parse parse) {
  out.reset();
  if (value.is_null()) return {};
  if (!value.is_string()) return InvalidField(name, "must be a text");
  std::string text = value.get<std::string>();
  const auto parsed = parse(text);
  if (!parsed.ok()) return InvalidField(name, parsed.error().message);
  out = std::move(text);
  return {};
}

Status ReadField(const std::string& name, const Json& value, NamespaceOverrides& out) {
  if (name == "priority") return ReadPriority(value, out);
  if (name == "minFilesToCompact") return ReadNumber(name, value, 1, kMinFilesMax, out.min_files);
  if (name == "maxWaitTimeMs") return ReadNumber(name, value, 0, kWaitMsMax, out.wait_ms);
  if (name == "deleteSources") return ReadDelete(value, out);
  if (name == "targetFormat") return ReadText(name, value, out.target_format, ParseTargetFormat);
  if (name == "sortBy") return ReadText(name, value, out.sort_by, ParseSortBy);
  if (name == "partitionBy") return ReadText(name, value, out.partition_by, ParsePartitionBy);
  if (name == "compression") {
    return ReadText(name, value, out.compression, parquet::ParseCodec);
  }
  if (name == "namespace") return {};
  return InvalidField(name, "no such setting of a namespace");
}

}  // namespace

uint64_t WaitOfPriority(int priority) { return kWaits[priority]; }

Result<std::vector<merge::SortKey>> ParseSortBy(std::string_view text) {
  std::vector<merge::SortKey> keys;
  while (!Trim(text).empty()) {
    const size_t comma = text.find(',');
    std::string_view item = Trim(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    merge::SortKey key;
    for (const auto& [word, descending] : {std::pair(" asc", false), std::pair(" desc", true)}) {
      if (!item.ends_with(word)) continue;
      item = Trim(item.substr(0, item.size() - std::string_view(word).size()));
      key.descending = descending;
      break;
    }
    if (item.empty() || item.size() > kColumnBytesMax || keys.size() == kCompactionSortKeysMax) {
      return MakeError(ErrorKind::kInvalid, "INVALID_FIELD",
                       "must be up to 16 columns, with commas between and an optional desc behind");
    }
    key.column = item;
    keys.push_back(std::move(key));
  }
  return keys;
}

std::string ToString(const std::vector<merge::SortKey>& keys) {
  std::string out;
  for (const merge::SortKey& key : keys) {
    if (!out.empty()) out += ", ";
    out += key.column;
    if (key.descending) out += " desc";
  }
  return out;
}

Result<NamespaceOverrides> ReadOverrides(std::string_view json, const NamespaceOverrides& before) {
  const Json parsed = Json::parse(json, nullptr, false);
  if (!parsed.is_object()) {
    return MakeError(ErrorKind::kInvalid, "INVALID_JSON", "settings are a JSON object");
  }
  NamespaceOverrides out = before;
  for (const auto& [name, value] : parsed.items()) TRY(ReadField(name, value, out));
  return out;
}

std::string ToJson(const NamespaceOverrides& overrides) {
  Json out = Json::object();
  if (overrides.priority) out["priority"] = *overrides.priority;
  if (overrides.min_files) out["minFilesToCompact"] = *overrides.min_files;
  if (overrides.wait_ms) out["maxWaitTimeMs"] = *overrides.wait_ms;
  if (overrides.target_format) out["targetFormat"] = *overrides.target_format;
  if (overrides.sort_by) out["sortBy"] = *overrides.sort_by;
  if (overrides.partition_by) out["partitionBy"] = *overrides.partition_by;
  if (overrides.compression) out["compression"] = *overrides.compression;
  if (overrides.delete_sources) out["deleteSources"] = *overrides.delete_sources;
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// The texts were checked when they came in.
NamespaceSettings Resolve(const WindowOptions& options, const NamespaceOverrides& overrides) {
  NamespaceSettings out;
  out.priority = overrides.priority;
  out.min_files = overrides.min_files.value_or(options.min_files);
  out.wait_ms = overrides.priority ? WaitOfPriority(*overrides.priority) : options.max_wait_ms;
  if (overrides.wait_ms) out.wait_ms = *overrides.wait_ms;
  out.compaction = options.settings;
  CompactionSettings& to = out.compaction;
  if (overrides.target_format) to.target = ParseTargetFormat(*overrides.target_format).value();
  if (overrides.sort_by) to.sort_by = ParseSortBy(*overrides.sort_by).value();
  if (overrides.partition_by) to.partition_by = ParsePartitionBy(*overrides.partition_by).value();
  if (overrides.compression) to.codec = parquet::ParseCodec(*overrides.compression).value();
  if (overrides.delete_sources) to.delete_sources = *overrides.delete_sources;
  out.single_file = !to.target.parquet;
  return out;
}

}  // namespace varve::compact
