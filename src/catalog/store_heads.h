// Heads on the object store: `metadata/v{n}.metadata.json`, each put only if it is not there yet,
// and `version-hint.text` behind them, which never goes back.
//
// A dropped table has a last version that says so, which no commit can follow: whoever was about
// to commit finds it in place of his own. A new table of the name begins behind it.
#pragma once

#include <string>
#include <vector>

#include "catalog/iceberg_heads.h"
#include "core/clock.h"
#include "store/object_store.h"

namespace varve::catalog {

class StoreHeads final : public IcebergHeads {
 public:
  StoreHeads(store::ObjectStore& store, const Clock& clock) : store_(store), clock_(clock) {}

  Result<IcebergHead> Load(const TablePlace& place) override;
  Result<IcebergHead> Create(const TablePlace& place,
                             const table::iceberg::TableMetadata& first) override;
  Result<PutOutcome> Swap(const TablePlace& place, const IcebergHead& base,
                          const table::iceberg::TableMetadata& next, IcebergHead* head) override;
  void Settle(const TablePlace& place, const IcebergHead& head) override;
  Result<bool> Exists(const TablePlace& place) override;
  Result<std::vector<std::string>> List() override { return std::vector<std::string>(); }
  Status Drop(const TablePlace& place) override;

 private:
  Result<IcebergHead> Last(const TablePlace& place);  // a dropped table's too
  Result<int64_t> Hint(const TablePlace& place);
  Result<int64_t> HighestListed(const TablePlace& place);
  Result<PutOutcome> Put(const TablePlace& place, int64_t version,
                         const table::iceberg::TableMetadata& metadata);
  void MoveHint(const TablePlace& place, int64_t version);

  store::ObjectStore& store_;
  const Clock& clock_;
};

std::string MetadataKey(const TablePlace& place, int64_t version);
// v{n}.metadata.json's n; nothing for another name.
std::optional<int64_t> MetadataVersion(std::string_view key);
// Of a last version: when the table was dropped.
inline constexpr const char* kDroppedProperty = "varve.dropped";
// There if the table was ever dropped.
std::string DroppedKey(const TablePlace& place);

}  // namespace varve::catalog
