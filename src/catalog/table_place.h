// Where a table lies: its name, its keys on the store, and the locations that stand for them in
// Iceberg's files, which are absolute.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"
#include "store/object_store.h"

namespace varve::catalog {

// 1 to 128 of [A-Za-z0-9._-], beginning with a letter, a digit or '_': safe in a key and in a URI.
Status CheckTableName(std::string_view name);  // kInvalid, INVALID_TABLE_NAME

class TablePlace {
 public:
  // root: of the store, as readers reach it: a directory's path, or "s3://bucket/prefix".
  // prefix: "catalog", or a tenant's "ns/{namespace}/catalog".
  TablePlace(std::string root, std::string prefix, std::string name);

  const std::string& name() const { return name_; }
  const std::string& key() const { return key_; }  // catalog/{table}
  std::string Key(std::string_view below) const { return key_ + "/" + std::string(below); }
  std::string location() const { return Location(key_); }
  std::string Location(std::string_view key) const;

  // The key of a location in this table's files. base: the table's location as its metadata has it:
  // a store that was moved keeps its old locations, and is still read by them. kInvalid,
  // FOREIGN_LOCATION: it is not on this store.
  Result<std::string> KeyOf(std::string_view location, std::string_view base) const;

 private:
  std::string root_, name_, key_;
};

// The root of a store of local files; "" where it has none.
std::string LocalRoot(const store::ObjectStore& store);

}  // namespace varve::catalog
