// Footers of Parquet files on the store, of one or of very many.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "store/object_store.h"
#include "table/file_footer.h"

namespace varve::catalog {

// What it reads it has read twice alike: a bound that was garbled on the way would lose rows.
Result<table::FileFooter> ReadFooter(store::ObjectStore& store, const std::string& key,
                                     uint64_t bytes);

struct StoredFile {
  std::string key;
  uint64_t bytes = 0;
};

// Reads the footers on a few threads, since it is waiting for the store; act is told of each, one
// at a time and in no order. The first error ends it, with the file's key. kCancelled: stopped said
// so. A file that is gone is kInvalid, FILE_MISSING.
Status ForEachFooter(store::ObjectStore& store, const std::vector<StoredFile>& files,
                     const std::function<bool()>& stopped,
                     const std::function<Status(size_t, table::FileFooter&&)>& act);

}  // namespace varve::catalog
