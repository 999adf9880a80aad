// What may be wrong with a data directory. Each check looks and tells; none changes anything.
#pragma once

#include <string>
#include <string_view>
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
// Every page of every Parquet file, with progress on a terminal; fast: their footers.
void CheckObjects(const DataDirPaths& paths, bool fast, Findings* findings);
// The lake tables: their metadata, logs and manifests can be read, and their files are there.
void CheckTables(const DataDirPaths& paths, const Config& config, bool fast, Findings* findings);
// The next two need the directory's exclusive lock.
void CheckJournal(const DataDirPaths& paths, Findings* findings);
// With what it holds: dead letters, and raw files that were not announced.
void CheckState(const DataDirPaths& paths, const Config& config, Findings* findings);
void NoteDeadLetters(std::string_view queue, uint64_t messages, Findings* findings);

}  // namespace varve::app
