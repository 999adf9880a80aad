// An ObjectStore on a directory: the object `events/a.parquet` is the file root/events/a.parquet,
// so that any program can read it, and a file that any program puts there is an object.
//
// Varve's own things lie in root/.varve: unfinished files in tmp/, records in meta/ where the file
// system has no extended attributes, and the lock that tells whether another process is here.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "store/object_store.h"

namespace varve::store {

struct LocalStoreOptions {
  std::string root;
  bool fsync = true;  // false: a crash of the machine may lose objects; for tests and throwaways
  // Only calls that every POSIX file system has: no extended attributes, openat2, renameat2. They
  // are also done without one by one where they are missing.
  bool portable_calls_only = false;
  // Nothing is made, locked or swept, and puts and deletes are refused: for looking at a directory
  // that is there, whoever else has it.
  bool read_only = false;
  // Directories, as a path below the root, that stay when their last object has gone: other
  // programs put files into them. None: every empty directory goes.
  std::function<bool(std::string_view directory)> keeps = {};
};

// The clock stamps objects (modified_ms) and outlives the store.
Result<std::unique_ptr<ObjectStore>> OpenLocalStore(LocalStoreOptions options, const Clock& clock);

}  // namespace varve::store
