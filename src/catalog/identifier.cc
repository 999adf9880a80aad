#include "catalog/identifier.h"

#include <algorithm>

#include "catalog/table_place.h"

namespace varve::catalog {
namespace {

constexpr size_t kLevelsMax = 16;

Levels SplitAt(std::string_view text, char separator) {
  Levels out;
  while (true) {
    const size_t at = text.find(separator);
    out.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

Error InvalidNamespace() {
  return MakeError(ErrorKind::kInvalid, "INVALID_NAMESPACE",
                   "a namespace has 1 to 16 levels of letters, digits, '_' and '-', the first "
                   "beginning with a letter, a digit or '_', and 'default' has none below it");
}

}  // namespace

Status CheckLevels(const Levels& levels) {
  const bool fits = !levels.empty() && levels.size() <= kLevelsMax &&
                    (levels[0] != kDefaultLevel || levels.size() == 1) &&
                    std::none_of(levels.begin(), levels.end(), [](const std::string& level) {
                      return level.empty() || level.find('.') != std::string::npos;
                    });
  // One more part must still make a table's name.
  if (fits && CheckTableName(JoinLevels(levels) + ".t").ok()) return {};
  return InvalidNamespace();
}

std::string JoinLevels(const Levels& levels) {
  std::string out;
  for (const std::string& level : levels) out += (out.empty() ? "" : ".") + level;
  return out;
}

bool IsWithin(const Levels& inner, const Levels& outer) {
  return inner.size() >= outer.size() && std::equal(outer.begin(), outer.end(), inner.begin());
}

Result<Levels> ParseLevels(std::string_view text) {
  constexpr char kUnitSeparator = '\x1f';
  Levels levels = SplitAt(text, kUnitSeparator);
  TRY(CheckLevels(levels));
  return levels;
}

Identifier IdentifierOf(std::string_view table) {
  Levels levels = SplitAt(table, '.');
  std::string name = std::move(levels.back());
  levels.pop_back();
  const bool splits = !name.empty() && CheckLevels(levels).ok() && levels[0] != kDefaultLevel;
  if (splits) return {std::move(levels), std::move(name)};
  return {{kDefaultLevel}, std::string(table)};
}

Result<std::string> TableNameOf(const Identifier& identifier) {
  const bool in_default = identifier.levels == Levels{kDefaultLevel};
  std::string name =
      in_default ? identifier.name : JoinLevels(identifier.levels) + "." + identifier.name;
  TRY(CheckTableName(name));
  if (IdentifierOf(name) == identifier) return name;
  return MakeError(ErrorKind::kInvalid, "INVALID_TABLE_NAME",
                   "'" + name +
                       "' is the name of a table in another namespace: a table's name "
                       "has no dots, and a level neither");
}

}  // namespace varve::catalog
