// How REST catalogs name tables: by a namespace of one or more levels, and a name in it. Ours have
// a flat name; one with dots has the parts before the last as its namespace, one without is in
// "default". Each of our names stands for exactly one identifier, and back.
#pragma once

#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace varve::catalog {

using Levels = std::vector<std::string>;

struct Identifier {
  Levels levels;
  std::string name;
  auto operator<=>(const Identifier&) const = default;
};

inline constexpr const char* kDefaultLevel = "default";

// Of a name that CheckTableName takes. One whose parts cannot be levels ("a..b") is in "default".
Identifier IdentifierOf(std::string_view table);
// kInvalid, INVALID_TABLE_NAME: no table of ours has this identifier.
Result<std::string> TableNameOf(const Identifier& identifier);

// Levels as an URL's path has them, 0x1F between them. kInvalid, INVALID_NAMESPACE.
Result<Levels> ParseLevels(std::string_view text);
Status CheckLevels(const Levels& levels);
std::string JoinLevels(const Levels& levels);             // with dots, to be shown
bool IsWithin(const Levels& inner, const Levels& outer);  // or the same

}  // namespace varve::catalog
