// Our Iceberg tables, as the calls of Iceberg's REST catalog API have them. Each change is a
// commit like any of ours: the same compare-and-swap, the same invariants, so theirs and ours race
// safely. A table that is Delta too takes no change of its rows or columns here: its Delta log
// would not have it.
#pragma once

#include <string>
#include <string_view>

#include "catalog/rest_namespaces.h"
#include "table/iceberg/update.h"

namespace varve::catalog {

// Thread-safe if the store is. What clients send is parsed here; kInvalid names what is wrong.
class RestCatalog {
 public:
  explicit RestCatalog(LakeTables& tables) : tables_(tables), namespaces_(tables) {}

  RestNamespaces& namespaces() { return namespaces_; }

  // kNotFound, NO_SUCH_TABLE, in all that name a table.
  Result<IcebergHead> Load(const Identifier& identifier);
  // The head of a staged one has no location of a metadata file: there is no table yet.
  // kNotFound, NO_SUCH_NAMESPACE. kConflict, TABLE_EXISTS.
  Result<IcebergHead> Create(const Levels& levels, std::string_view request);
  // kConflict: a requirement fails, or the base has changed. kUnknown: may or may not be done.
  Result<IcebergHead> Commit(const Identifier& identifier, std::string_view request);
  // The one commit of a transaction; kInvalid, UNSUPPORTED, where it has several.
  Status CommitTransaction(std::string_view request);
  // A table of another's metadata file on this store, or a dropped one of its last.
  Result<IcebergHead> Register(const Levels& levels, std::string_view request);
  // Its files stay until orphans are removed.
  Status Drop(const Identifier& identifier);

 private:
  Status MakeFolder(const TablePlace& place);
  Status CheckForDelta(const std::string& name, const table::iceberg::CommitRequest& request);
  // kInvalid, FOREIGN_LOCATION: a tenant's tables refer to nothing that is not the tenant's, and
  // the default namespace's to nothing that is.
  Status CheckOwn(const std::string& name, const std::string& location, const std::string& base);
  Status CheckNewSnapshots(const std::string& name, const std::string& base,
                           const table::iceberg::CommitRequest& request);
  Result<IcebergHead> CommitTo(const std::string& name,
                               const table::iceberg::CommitRequest& request);
  Result<std::string> NewTableName(const Levels& levels, const std::string& name);

  LakeTables& tables_;
  RestNamespaces namespaces_;
};

}  // namespace varve::catalog
