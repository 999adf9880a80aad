// What may be wrong with a data directory. Each check looks and tells; none changes anything.
#pragma once

#include <string>
#include <vector>

#include "app/config.h"
#include "app/data_dir.h"

namespace varve::app {

struct Finding {
  enum class Level { kGood, kNote, kWarning, kError };
  Level level = Level::kGood;
  std::string what;
  std::string way_out;  // empty where there is nothing to do
};

using Findings = std::vector<Finding>;

void CheckPermissions(const DataDirPaths& paths, Findings* findings);
void CheckSpace(const DataDirPaths& paths, const Config& config, Findings* findings);
void CheckTempFiles(const DataDirPaths& paths, int64_t now_ms, Findings* findings);
void CheckObjects(const DataDirPaths& paths, Findings* findings);  // every Parquet footer
// The next two need the directory's exclusive lock.
void CheckJournal(const DataDirPaths& paths, Findings* findings);
void CheckState(const DataDirPaths& paths, const Config& config, Findings* findings);

}  // namespace varve::app
