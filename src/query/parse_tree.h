// A statement as DuckDB's json_serialize_sql tells it. Included by .cc files only: nlohmann's
// header is heavy.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace varve::query {

// A member's text; empty: there is none.
inline std::string TextMember(const nlohmann::json& node, const char* name) {
  const auto it = node.find(name);
  return it != node.end() && it->is_string() ? it->get<std::string>() : std::string();
}

}  // namespace varve::query
