// A compaction on the caller's thread, in a data directory that nobody serves. What it has begun,
// the next one ends first, or the server does. Writers' files are claimed, so that no window has
// them too.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "app/config.h"
#include "app/data_dir.h"
#include "app/workflows.h"
#include "compact/compaction_request.h"

namespace varve::app {

class DirectCompaction {
 public:
  // Takes the directory's lock. progress: of merges; called often.
  static Result<std::unique_ptr<DirectCompaction>> Open(
      const Config& config, std::function<void(const merge::MergeProgress&)> progress);

  // The objects of these keys and below this prefix (.parquet), as they are now, but for those that
  // a compaction has taken and will delete.
  Result<std::vector<compact::SourceFile>> Sources(const std::vector<std::string>& keys,
                                                   const std::string& prefix);
  // What it would do, as JSON.
  Result<std::string> Plan(const compact::CompactionRequest& request);
  Result<std::string> Start(const compact::CompactionRequest& request);  // its id
  // Runs everything that was begun to its end; waits where a step has to, but for sources' grace:
  // that of this one is waited for, or of all. kCancelled: interrupted, and the next one goes on.
  // How many have ended.
  Result<size_t> RunAll(const std::string& id = {});
  Result<size_t> RunAllWithGraces();
  // Undoes one that has failed, as far as it can be; what is committed stays.
  Status Abandon(const std::string& id);
  // The workflow with its steps' details, as JSON; its own error if it has failed.
  Result<std::string> Summary(const std::string& id);
  // kInvalid, NOTHING_COMPACTED: every file was left out.
  Status CheckTaken(const std::string& id);

 private:
  explicit DirectCompaction(DataDirLock lock) : lock_(std::move(lock)) {}
  Result<std::vector<compact::Arrival>> ArrivalsOf(const compact::CompactionRequest& request) const;
  using WaitsFor = std::function<bool(const workflow::Workflow&)>;  // one that rests
  Result<size_t> RunUntilRest(const WaitsFor& waits_for);
  // Keys and ETags of the sources of those that rest.
  Result<std::set<std::pair<std::string, std::string>>> Spent();

  DataDirLock lock_;
  std::string data_prefix_;
  std::unique_ptr<store::ObjectStore> store_;
  std::unique_ptr<state::Database> database_;
  std::unique_ptr<catalog::TenantTables> tables_;
  std::unique_ptr<compact::WindowTracker> windows_;
  std::unique_ptr<workflow::WorkflowStore> kept_;
  std::unique_ptr<Workflows> workflows_;
};

}  // namespace varve::app
