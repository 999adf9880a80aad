#include "catalog/rest_namespaces.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "catalog/checked_store.h"

namespace varve::catalog {
namespace {

using Json = nlohmann::json;

constexpr const char* kFolder = ".namespaces/";
constexpr const char* kSuffix = ".json";
constexpr const char* kNamespaceType = "application/json";
constexpr int kUpdateTries = 16;

Error NoSuchNamespace(const Levels& levels) {
  return MakeError(ErrorKind::kNotFound, "NO_SUCH_NAMESPACE",
                   "there is no namespace '" + JoinLevels(levels) + "'");
}

Result<Properties> PropertiesFrom(const std::string& text, const std::string& key) {
  const Json json = Json::parse(text, nullptr, false);
  Properties out;
  if (!json.is_object()) {
    return MakeError(ErrorKind::kCorrupt, "BAD_NAMESPACE", "'" + key + "' is no JSON object");
  }
  for (const auto& item : json.items()) {
    if (item.value().is_string()) out[item.key()] = item.value().get<std::string>();
  }
  return out;
}

std::string TextOf(const Properties& properties) {
  return Json(properties).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string RestNamespaces::Key(const Levels& levels) const {
  return tables_.iceberg().Place("").key() + kFolder + JoinLevels(levels) + kSuffix;
}

Result<std::set<Levels>> RestNamespaces::Made() {
  const std::string folder = tables_.iceberg().Place("").key() + kFolder;
  std::set<Levels> out;
  for (const auto& object : TRY(store::ListAll(tables_.iceberg().store(), folder))) {
    std::string_view name = object.key;
    name.remove_prefix(folder.size());
    if (!name.ends_with(kSuffix)) continue;
    name.remove_suffix(std::string_view(kSuffix).size());
    // As if it were a table's: its parts are the levels.
    Identifier parts = IdentifierOf(std::string(name) + ".t");
    if (parts.name == "t") out.insert(std::move(parts.levels));
  }
  return out;
}

Result<std::vector<Identifier>> RestNamespaces::AllTables() {
  std::vector<Identifier> out;
  for (const std::string& name : TRY(tables_.List())) {
    if (TRY(tables_.FormatsOf(name)).iceberg) out.push_back(IdentifierOf(name));
  }
  std::sort(out.begin(), out.end());
  return out;
}

Result<bool> RestNamespaces::Exists(const Levels& levels) {
  if (levels == Levels{kDefaultLevel}) return true;
  for (const Levels& made : TRY(Made())) {
    if (IsWithin(made, levels)) return true;
  }
  const auto tables = TRY(AllTables());
  return std::any_of(tables.begin(), tables.end(),
                     [&](const Identifier& one) { return IsWithin(one.levels, levels); });
}

Result<std::vector<Levels>> RestNamespaces::Children(const Levels& parent) {
  if (!parent.empty() && !TRY(Exists(parent))) return NoSuchNamespace(parent);
  std::set<Levels> all = TRY(Made());
  for (Identifier& one : TRY(AllTables())) all.insert(std::move(one.levels));
  all.insert({kDefaultLevel});
  std::set<Levels> children;
  for (const Levels& levels : all) {
    if (levels.size() <= parent.size() || !IsWithin(levels, parent)) continue;
    children.emplace(levels.begin(), levels.begin() + static_cast<ptrdiff_t>(parent.size()) + 1);
  }
  return std::vector<Levels>(children.begin(), children.end());
}

Result<Properties> RestNamespaces::Load(const Levels& levels) {
  const std::string key = Key(levels);
  auto text = ReadChecked(tables_.iceberg().store(), key);
  if (text.ok()) return PropertiesFrom(*text, key);
  if (text.error().kind != ErrorKind::kNotFound) return std::move(text).error();
  if (!TRY(Exists(levels))) return NoSuchNamespace(levels);
  return Properties();
}

Status RestNamespaces::Create(const Levels& levels, const Properties& properties) {
  TRY(CheckLevels(levels));
  const Error exists = MakeError(ErrorKind::kConflict, "NAMESPACE_EXISTS",
                                 "the namespace '" + JoinLevels(levels) + "' exists");
  if (TRY(Exists(levels))) return exists;
  store::PutOptions options;
  options.content_type = kNamespaceType;
  options.precondition = store::Precondition::kIfAbsent;
  const auto put = tables_.iceberg().store().Put(Key(levels), TextOf(properties), options);
  if (put.ok()) return {};
  return put.error().kind == ErrorKind::kConflict ? exists : put.error();
}

Status RestNamespaces::Drop(const Levels& levels) {
  if (!TRY(Exists(levels))) return NoSuchNamespace(levels);
  const auto not_empty = [&](const Levels& inner) {
    return MakeError(ErrorKind::kConflict, "NAMESPACE_NOT_EMPTY",
                     fmt::format("the namespace '{}' is not empty: it has '{}'", JoinLevels(levels),
                                 JoinLevels(inner)));
  };
  if (levels == Levels{kDefaultLevel}) {
    return MakeError(ErrorKind::kInvalid, "DEFAULT_NAMESPACE", "'default' is always there");
  }
  for (const Identifier& one : TRY(AllTables())) {
    Levels inner = one.levels;
    inner.push_back(one.name);
    if (IsWithin(one.levels, levels)) return not_empty(inner);
  }
  for (const Levels& made : TRY(Made())) {
    if (made != levels && IsWithin(made, levels)) return not_empty(made);
  }
  return tables_.iceberg().store().Delete(Key(levels));
}

Result<PropertiesChange> RestNamespaces::Update(const Levels& levels,
                                                const std::vector<std::string>& removals,
                                                const Properties& updates) {
  store::ObjectStore& store = tables_.iceberg().store();
  const std::string key = Key(levels);
  for (int i = 0; i < kUpdateTries; ++i) {
    const auto head = store.Head(key);
    if (!head.ok() && head.error().kind != ErrorKind::kNotFound) return head.error();
    Properties properties = TRY(Load(levels));
    PropertiesChange change;
    for (const std::string& name : removals) {
      (properties.erase(name) > 0 ? change.removed : change.missing).push_back(name);
    }
    for (const auto& [name, value] : updates) {
      properties[name] = value;
      change.updated.push_back(name);
    }
    store::PutOptions options;
    options.content_type = kNamespaceType;
    options.precondition =
        head.ok() ? store::Precondition::kIfMatch : store::Precondition::kIfAbsent;
    if (head.ok()) options.if_match_etag = head->etag;
    const auto put = store.Put(key, TextOf(properties), options);
    if (put.ok()) return change;
    if (put.error().kind != ErrorKind::kConflict) return put.error();
  }
  return MakeError(ErrorKind::kConflict, "TOO_MANY_CONFLICTS",
                   "others' changes of '" + JoinLevels(levels) + "' came first");
}

Result<std::vector<Identifier>> RestNamespaces::Tables(const Levels& levels) {
  if (!TRY(Exists(levels))) return NoSuchNamespace(levels);
  std::vector<Identifier> out = TRY(AllTables());
  std::erase_if(out, [&](const Identifier& one) { return one.levels != levels; });
  return out;
}

}  // namespace varve::catalog
