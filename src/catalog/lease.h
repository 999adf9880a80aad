// A lease on a key of the store, for work that two should not do at once.
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

class Lease {
 public:
  // kConflict, LEASED: another holds it until a time that the message has.
  static Result<Lease> Take(store::ObjectStore& store, const Clock& clock, std::string key,
                            int64_t lease_ms);
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

}  // namespace varve::catalog
