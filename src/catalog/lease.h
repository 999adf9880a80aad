// A lease on a key of the store, for work that two should not do at once. It ends with its time;
// one that was taken for a run of the store's only server ends with that run.
#pragma once

#include <cstdint>
#include <string>

#include "catalog/table_place.h"
#include "core/clock.h"
#include "core/result.h"
#include "store/object_store.h"

namespace varve::catalog {

// Who cleans a table up, or must not be disturbed by that, has this key's lease.
std::string MaintenanceLeaseKey(const TablePlace& place);
inline constexpr int64_t kLeaseMs = 600'000;

class IcebergTables;

class Lease {
 public:
  // kConflict, LEASED: another holds it until a time that the message has. run: of whoever has the
  // store's lock for himself; an earlier run's lease is nobody's then. Empty: of anybody else.
  static Result<Lease> Take(store::ObjectStore& store, const Clock& clock, std::string key,
                            int64_t lease_ms, const std::string& run = {});
  Lease(Lease&& other) noexcept;
  Lease& operator=(Lease&&) = delete;
  ~Lease();  // gives it back, if it is still ours

  int64_t epoch() const { return epoch_; }

 private:
  Lease(store::ObjectStore& store, std::string key, std::string etag, int64_t epoch)
      : store_(&store), key_(std::move(key)), etag_(std::move(etag)), epoch_(epoch) {}

  store::ObjectStore* store_;
  std::string key_, etag_;
  int64_t epoch_;
};

Result<Lease> TakeMaintenanceLease(IcebergTables& tables, const std::string& name);

}  // namespace varve::catalog
