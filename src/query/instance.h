// A DuckDB that is closed to files, network and settings before user text reaches it. Opening one
// takes about 10 ms, so a few are open in advance, and one that has served a namespace serves that
// namespace again as long as its snapshots hold no file that it does not know: what it may open
// can never be widened.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <unordered_set>

#include "query/duck_handles.h"
#include "query/engine.h"
#include "query/row_scan.h"

namespace varve::query {

class Instance {
 public:
  // temp_directory belongs to this instance alone: DuckDB lets SQL read what lies in it.
  static Result<std::unique_ptr<Instance>> Open(const EngineOptions& options,
                                                std::string temp_directory);
  ~Instance();

  // Whether the files, and no others of another namespace, can be made readable or are.
  bool CanServe(const NamespaceId& ns, std::span<const std::string> paths) const;
  // For good: these files only, no setting changes. Reads the settings back; kInternal when one
  // does not hold. Nothing to do for an instance that is closed and can serve them.
  Status Close(const NamespaceId& ns, std::span<const std::string> paths);
  bool closed() const { return closed_; }
  const NamespaceId& ns() const { return ns_; }

  Status SetView(const std::string& name, const std::string& select);
  // What the table function gives from now on; null: nothing can be read from it.
  Status SetRows(const std::string& function, const RowSource* source);
  void ClearRows();

  Status Execute(const std::string& sql);
  // The first column of the first row as text; sql's $1 is bound to argument.
  Result<std::string> AskText(const char* sql, std::string_view argument);

  duckdb_connection connection() const { return connection_.get(); }

 private:
  Instance() = default;
  Status CheckSettings();

  bool closed_ = false;
  NamespaceId ns_;
  std::unordered_set<std::string> allowed_;
  std::map<std::string, std::string> views_;  // their SELECTs
  std::map<std::string, std::unique_ptr<RowSlot>> rows_;

  std::string temp_directory_;
  Database database_;
  Connection connection_;
};

// The instances that are not in use. Opens some in advance on a thread of its own. Thread-safe.
class InstancePool {
 public:
  InstancePool(const EngineOptions& options, const Clock& clock);
  ~InstancePool();
  // One that served the namespace before, else one that served nobody.
  Result<std::unique_ptr<Instance>> Take(const NamespaceId& ns);
  Result<std::unique_ptr<Instance>> TakeUnused();
  // One whose last statement left nothing behind.
  void GiveBack(std::unique_ptr<Instance> instance);
  void DropIdle();

 private:
  void Refill();
  Result<std::unique_ptr<Instance>> OpenOne();

  struct Served {
    std::unique_ptr<Instance> instance;
    int64_t used_ns;
  };

  const EngineOptions options_;
  const Clock& clock_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Instance>> unused_;
  std::deque<Served> served_;  // the last used in front
  uint64_t opened_ = 0;
  bool stopping_ = false;
  bool failing_ = false;  // the last opening failed: left to Take, which can say so

  std::thread refill_;
};

}  // namespace varve::query
