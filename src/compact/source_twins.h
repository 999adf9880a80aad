// A twin: the bytes of a compacted source, put again under its key, where the store gives them
// another ETag; a local store does, for files of other programs. It is found by its content, and is
// noted as compacted, by the workflow that compacted the first, before anybody takes it for new.
//
// 1. Who has bytes that the windows do not know, or that wait, asks here first: announcements,
//    discoveries, claims, readers. Only where compacted bytes of the same key and size have a
//    content are they read.
// 2. What is found is written at once, so that it is read once whatever its finder comes to.
// Thread-safe.
#pragma once

#include <mutex>
#include <set>
#include <span>

#include "compact/window_tracker.h"
#include "core/result.h"
#include "store/object_store.h"

namespace varve::compact {

class SourceTwins {
 public:
  // Both are borrowed and outlive it.
  SourceTwins(store::ObjectStore& store, WindowTracker& windows)
      : store_(store), windows_(windows) {}

  // How many of them are twins; they are noted as compacted. Not inside a transaction.
  Result<size_t> Find(std::span<const Arrival> arrivals);

 private:
  Result<bool> IsTwin(const Arrival& arrival, const Lookalike& lookalike);
  bool IsOther(const SourceId& id);
  void RememberOther(SourceId id);

  store::ObjectStore& store_;
  WindowTracker& windows_;
  std::mutex mutex_;
  std::set<SourceId> others_;  // were read and are none; guarded by mutex_
};

}  // namespace varve::compact
