// The data directory's layout, who has it, and where its server answers.
//
//   DIR/…                 objects, by their keys
//   DIR/.varve/lock       flock: exclusive by `serve`, shared by commands that open it themselves
//   DIR/.varve/serve.json {"url", "pid", "startedMs"}: where the server that has the lock answers
//   DIR/.varve/journal/   DIR/.varve/state.db   DIR/.varve/event-ids/   DIR/.varve/tmp/
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "core/result.h"

namespace varve::app {

struct DataDirPaths {
  explicit DataDirPaths(const std::string& data_dir);
  std::string root, own, lock, serve_json, journal, state, event_ids, tmp;
};

// Makes DIR, DIR/.varve, its journal/ and tmp/ where they are missing. The error names what could
// not be made.
Status MakeDataDir(const DataDirPaths& paths);

// The error of a file or directory in there that cannot be written, with the way out behind it.
Error CannotWrite(const DataDirPaths& paths, Error error);

class DataDirLock {
 public:
  enum class Mode { kExclusive, kShared };
  // Asks for two seconds: a killed process may hold it for a moment longer. kConflict,
  // DATA_DIR_BUSY: another one has it, whose number the message has.
  static Result<DataDirLock> Take(const DataDirPaths& paths, Mode mode);
  DataDirLock(DataDirLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  DataDirLock& operator=(DataDirLock&&) = delete;
  ~DataDirLock();

 private:
  explicit DataDirLock(int fd) : fd_(fd) {}
  int fd_;
};

struct ServeInfo {
  std::string url;  // "http://127.0.0.1:8080"
  int64_t pid = 0;
  int64_t started_ms = 0;
};

// Written by serve once it listens (temp file, rename); removed when it stops.
Status WriteServeInfo(const DataDirPaths& paths, const ServeInfo& info);
void RemoveServeInfo(const DataDirPaths& paths);

// The server that has the directory now; nothing where nobody has the lock.
Result<std::optional<ServeInfo>> RunningServer(const DataDirPaths& paths);

}  // namespace varve::app
