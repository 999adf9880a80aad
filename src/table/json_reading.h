// Members of JSON objects as values, an error naming the one that is missing or of another type.
// Included by .cc files only: nlohmann's headers are heavy.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "core/result.h"

namespace varve::table {

using Json = nlohmann::json;

inline Error BadMember(std::string_view name) {
  return MakeError(ErrorKind::kCorrupt, "BAD_METADATA",
                   "'" + std::string(name) + "' is missing or of another type");
}

template <typename T>
bool Holds(const Json& json) {
  if constexpr (std::is_same_v<T, bool>) {
    return json.is_boolean();
  } else if constexpr (std::is_same_v<T, std::string>) {
    return json.is_string();
  } else {
    if (!json.is_number_integer()) return false;
    if (json.is_number_unsigned() && json.get<uint64_t>() > uint64_t{INT64_MAX}) return false;
    const auto number = json.get<int64_t>();
    return number >= int64_t{std::numeric_limits<T>::min()} &&
           number <= int64_t{std::numeric_limits<T>::max()};
  }
}

// Nothing where the member is missing or null.
template <typename T>
Result<std::optional<T>> Optional(const Json& object, const char* name) {
  const auto at = object.find(name);
  if (at == object.end() || at->is_null()) return std::optional<T>();
  if (!Holds<T>(*at)) return BadMember(name);
  return std::optional<T>(at->template get<T>());
}

template <typename T>
Result<T> Need(const Json& object, const char* name) {
  const auto at = object.find(name);
  if (at == object.end() || !Holds<T>(*at)) return BadMember(name);
  return at->template get<T>();
}

// An array; empty if it is missing and need not be there.
inline Result<const Json*> Array(const Json& object, const char* name, bool needed) {
  static const Json empty = Json::array();
  const auto at = object.find(name);
  if (at == object.end() || at->is_null()) {
    if (needed) return BadMember(name);
    return &empty;
  }
  if (!at->is_array()) return BadMember(name);
  return &*at;
}

inline Result<std::map<std::string, std::string>> Strings(const Json& object, const char* name) {
  std::map<std::string, std::string> out;
  const auto at = object.find(name);
  if (at == object.end() || at->is_null()) return out;
  if (!at->is_object()) return BadMember(name);
  for (const auto& item : at->items()) {
    if (!item.value().is_string()) return BadMember(name);
    out[item.key()] = item.value().get<std::string>();
  }
  return out;
}

inline constexpr size_t kJsonDepthMax = 256;

// Whether no brackets are nested deeper than that: whoever writes or frees JSON recurses.
inline bool IsShallow(std::string_view text) {
  size_t depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kJsonDepthMax) return false;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return true;
}

inline Result<Json> ParseObject(std::string_view text, size_t bytes_max) {
  if (text.size() > bytes_max) {
    return MakeError(ErrorKind::kCorrupt, "BAD_METADATA", "it is larger than any metadata");
  }
  Json json = IsShallow(text) ? Json::parse(text, nullptr, false) : Json();
  if (!json.is_object()) {
    return MakeError(ErrorKind::kCorrupt, "BAD_METADATA", "it is no JSON object, or cut short");
  }
  return json;
}

}  // namespace varve::table
