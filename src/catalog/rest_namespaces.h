// Namespaces, as REST catalogs have them. One is there if it was made, if a table is in it, or if
// it is "default"; what was made is an object with its properties:
// `{catalog}/.namespaces/{levels, dots between}.json`.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "catalog/identifier.h"
#include "catalog/lake_tables.h"

namespace varve::catalog {

using Properties = std::map<std::string, std::string>;

struct PropertiesChange {
  std::vector<std::string> removed, updated, missing;
};

// Thread-safe.
class RestNamespaces {
 public:
  explicit RestNamespaces(LakeTables& tables) : tables_(tables) {}

  // Those one level below; of the root where parent is empty. kNotFound, NO_SUCH_NAMESPACE.
  Result<std::vector<Levels>> Children(const Levels& parent);
  Result<Properties> Load(const Levels& levels);                      // likewise
  Status Create(const Levels& levels, const Properties& properties);  // kConflict, NAMESPACE_EXISTS
  // kConflict, NAMESPACE_NOT_EMPTY.
  Status Drop(const Levels& levels);
  Result<PropertiesChange> Update(const Levels& levels, const std::vector<std::string>& removals,
                                  const Properties& updates);
  // Iceberg tables in it, in order.
  Result<std::vector<Identifier>> Tables(const Levels& levels);

 private:
  std::string Key(const Levels& levels) const;
  Result<std::set<Levels>> Made();  // by Create, and not dropped
  Result<std::vector<Identifier>> AllTables();
  Result<bool> Exists(const Levels& levels);

  LakeTables& tables_;
};

}  // namespace varve::catalog
