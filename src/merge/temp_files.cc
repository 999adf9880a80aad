#include "merge/temp_files.h"

#include <stdlib.h>

#include <cerrno>

namespace varve::merge {

Result<std::string> TempFiles::Next() {
  if (path_.empty()) {
    std::string path = parent_ + "/.varve-merge-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) {
      return ErrnoError(errno, "create a directory in " + parent_);
    }
    path_ = std::move(path);
  }
  return path_ + "/" + std::to_string(count_++) + ".parquet";
}

}  // namespace varve::merge
