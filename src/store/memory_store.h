// An ObjectStore in memory, with the behaviour of a bucket: keys are flat, so `a` and `a/b` may
// both be objects. For tests; everything is lost with it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "core/clock.h"
#include "store/object_store.h"

namespace varve::store {

class MemoryStore : public ObjectStore {
 public:
  explicit MemoryStore(const Clock& clock) : clock_(clock) {}

  Result<ObjectMeta> Put(std::string_view key, std::string_view bytes,
                         const PutOptions& options) override;
  Result<std::string> Get(std::string_view key, std::optional<ByteRange> range) override;
  Result<ObjectMeta> Head(std::string_view key) override;
  Result<ListPage> List(std::string_view prefix, std::string_view start_after,
                        size_t objects_max) override;
  Status Delete(std::string_view key) override;
  std::optional<std::string> LocalPath(std::string_view) const override { return std::nullopt; }
  void SetListener(ObjectListener* listener) override { listener_ = listener; }

 private:
  struct Object {
    ObjectMeta meta;
    std::shared_ptr<const std::string> bytes;  // shared with readers, who copy outside the lock
  };

  Status CheckPrecondition(std::string_view key, const PutOptions& options) const;

  const Clock& clock_;
  ObjectListener* listener_ = nullptr;

  mutable std::mutex mutex_;
  std::map<std::string, Object, std::less<>> objects_;  // guarded by mutex_
};

}  // namespace varve::store
