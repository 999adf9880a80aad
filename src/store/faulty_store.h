// A store that misbehaves as real ones have been seen to, on script or by seeded chance, in front
// of one that does not. Counts what it did, so that a test can insist that its faults really
// happened.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/clock.h"
#include "store/object_store.h"

namespace varve::store {

enum class StoreCall : uint8_t { kPut, kGet, kHead, kList, kDelete };

enum class FaultKind : uint8_t {
  kFailBefore,           // kRetryable; nothing was done
  kThrottle,             // kExhausted, SLOW_DOWN; nothing was done
  kUnknownNotDone,       // kUnknown; nothing was done
  kSucceedThenUnknown,   // kUnknown; it was done, and the reply was lost
  kConflictOnOwnWrite,   // put: done, and the repeated request found its own object there
  kTruncatedGet,         // get: the front half only, without an error
  kBitFlippedGet,        // get: one bit wrong
  kListWithoutLastPage,  // list: the objects behind this page are not mentioned
  kListRepeatsPage,      // list: the first page again
  kStaleHead,            // head: kNotFound although the object is there
};
inline constexpr size_t kFaultKinds = 10;

struct Fault {
  FaultKind kind = FaultKind::kFailBefore;
  StoreCall call = StoreCall::kPut;
  std::string key_prefix;  // of the key, or of a list's prefix
  uint32_t skip = 0;       // matching calls that pass first
  uint32_t times = 1;      // matching calls that then fail
};

// Thread-safe if the inner store is. Both outlive it.
class FaultyStore : public ObjectStore {
 public:
  FaultyStore(ObjectStore& inner, Random& random) : inner_(inner), random_(random) {}

  void Script(Fault fault);
  // Every call of this sort fails so with this chance, besides the script. 0 switches it off.
  void SetChance(StoreCall call, FaultKind kind, uint32_t per_mille);
  uint64_t fired(FaultKind kind) const;

  Result<ObjectMeta> Put(std::string_view key, std::string_view bytes,
                         const PutOptions& options) override;
  Result<std::string> Get(std::string_view key, std::optional<ByteRange> range) override;
  Result<ObjectMeta> Head(std::string_view key) override;
  Result<ListPage> List(std::string_view prefix, std::string_view start_after,
                        size_t objects_max) override;
  Status Delete(std::string_view key) override;
  std::optional<std::string> LocalPath(std::string_view key) const override;
  void SetListener(ObjectListener* listener) override { inner_.SetListener(listener); }

 private:
  std::optional<FaultKind> Draw(StoreCall call, std::string_view key);
  std::string Damage(FaultKind kind, std::string bytes);

  ObjectStore& inner_;

  mutable std::mutex mutex_;
  Random& random_;                                                 // guarded by mutex_
  std::vector<Fault> script_;                                      // guarded by mutex_
  std::map<std::pair<StoreCall, FaultKind>, uint32_t> per_mille_;  // guarded by mutex_
  std::array<uint64_t, kFaultKinds> fired_{};                      // guarded by mutex_
};

}  // namespace varve::store
