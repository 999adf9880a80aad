// One DuckDB of its own a query, closed to files, network and settings before user text reaches it,
// and the few that are kept open in advance because opening one takes about 10 ms.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>

#include "query/duck_handles.h"
#include "query/engine.h"

namespace varve::query {

class Instance {
 public:
  // temp_directory belongs to this instance alone: DuckDB lets SQL read what lies in it.
  static Result<std::unique_ptr<Instance>> Open(const EngineOptions& options,
                                                std::string temp_directory);
  ~Instance();

  // From here on only the named files can be opened.
  Status CloseFileSystem(std::span<const std::string> allowed_paths);
  // Locks the configuration, then reads every setting of the sandbox back; kInternal when one does
  // not hold.
  Status LockConfiguration();

  Status Execute(const std::string& sql);
  // The first column of the first row as text; sql's $1 is bound to argument.
  Result<std::string> AskText(const char* sql, std::string_view argument);

  duckdb_connection connection() const { return connection_.get(); }

 private:
  Instance() = default;
  Status Configure();

  std::string temp_directory_;
  Database database_;
  Connection connection_;
};

// Opens instances in advance on a thread of its own. Thread-safe.
class InstancePool {
 public:
  InstancePool(const EngineOptions& options, uint32_t kept);
  ~InstancePool();
  Result<std::unique_ptr<Instance>> Take();
  // One that was neither closed nor locked, in which no user text ran.
  void GiveBack(std::unique_ptr<Instance> instance);

 private:
  void Refill();
  Result<std::unique_ptr<Instance>> OpenOne();

  const EngineOptions options_;
  const uint32_t kept_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Instance>> ready_;
  uint64_t opened_ = 0;
  bool stopping_ = false;
  bool failing_ = false;  // the last opening failed: left to Take, which can say so

  std::thread refill_;
};

}  // namespace varve::query
