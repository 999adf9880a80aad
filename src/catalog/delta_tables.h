// Delta tables on an object store: `catalog/{table}/_delta_log/{version, 20 digits}.json`, each put
// only if it is not there yet.
//
// A commit: 1. The head: the last checkpoint, then every commit behind it until there is none; a
// commit that is missing before one that is there is damage, never the end.
// 2. The next commit is built on it (table/delta/state.h). 3. It is put; rejected: from 1 again;
// unknown: kUnknown, and nothing is cleaned up. 4. Every so many versions a checkpoint is put, and
// only then `_last_checkpoint`: readers fail on one that is not there. Where the head was loaded
// without the one that is named, for it is lost, the commit puts both.
// Log files are deleted only below a checkpoint, when they are older than the log's retention.
//
// Thread-safe if the store is.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "catalog/iceberg_tables.h"
#include "table/delta/state.h"

namespace varve::catalog {

struct DeltaOptions {
  CatalogOptions catalog;
  uint32_t checkpoint_interval = 10;  // versions
};

// Longer than any job takes: what no snapshot has is under way until then.
inline constexpr uint64_t kOrphanAgeMsDefault = uint64_t{3} * 86'400'000;

struct DeltaCommit {
  int64_t version = 0;
  uint32_t attempts = 1;
  bool already_done = false;  // by its txn
};

// What `_last_checkpoint` names and is of no use; others' readers fail on it, whatever the log has.
struct LostCheckpoint {
  std::string key;
  bool is_there = false;  // and cannot be read
};

struct DeltaHead {
  table::delta::State state;
  std::optional<LostCheckpoint> lost;
};

class DeltaTables {
 public:
  DeltaTables(store::ObjectStore& store, const Clock& clock, Random& random, DeltaOptions options);

  // kNotFound, NO_SUCH_TABLE. kCorrupt, COMMIT_MISSING.
  Result<table::delta::State> Load(const std::string& name);
  Result<DeltaHead> LoadHead(const std::string& name);
  // For what follows from it being changed here. kInvalid, UNSUPPORTED_PROTOCOL: not by us.
  Result<table::delta::State> LoadToChange(const std::string& name);
  // As of a version that still can be built. kNotFound, NO_SUCH_VERSION.
  Result<table::delta::State> LoadVersion(const std::string& name, int64_t version);
  // What the newest of these checkpoints says that is there and can be read; an empty state if none
  // can, since others may be told from the log behind them.
  Result<table::delta::State> NewestSound(const TablePlace& place,
                                          const std::set<int64_t>& versions);
  // kConflict, TABLE_EXISTS, unless it has this id. first: files and txns that its first version
  // has already. kInvalid, TOO_MANY_FILES.
  Result<table::delta::State> Create(const std::string& name, const std::string& id,
                                     const table::Schema& schema,
                                     const std::map<std::string, std::string>& configuration,
                                     const table::delta::Change& first = {});
  Result<DeltaCommit> Commit(const std::string& name, const table::delta::Change& change);
  // A commit that is made for the very head it follows; nothing where there is none to make, which
  // is told as one that is done already.
  using NextChange =
      std::function<Result<std::optional<table::delta::Change>>(const table::delta::State& head)>;
  Result<DeltaCommit> Update(const std::string& name, const NextChange& next);
  // New columns only. kInvalid, SCHEMA_MISMATCH: widening needs a protocol that few readers have.
  Status Evolve(const std::string& name, const table::Schema& file);

  Status Checkpoint(const std::string& name, const table::delta::State& state);

  struct LogEntry {
    int64_t version = 0, timestamp_ms = 0;
    std::string operation;
    size_t adds = 0, removes = 0;
  };
  Result<std::vector<LogEntry>> History(const std::string& name);

  std::string Nonce();
  TablePlace Place(const std::string& name) const;
  store::ObjectStore& store() { return store_; }
  const Clock& clock() const { return clock_; }

 private:
  Result<DeltaHead> Head(const TablePlace& place, int64_t until);
  Result<int64_t> Pointer(const TablePlace& place);
  Result<DeltaHead> FromCheckpoint(const TablePlace& place, int64_t until, int64_t pointer);
  Result<std::optional<int64_t>> Behind(const TablePlace& place, int64_t missing);
  // Applies commits until there is none or until is reached.
  Status Forward(const TablePlace& place, int64_t until, table::delta::State& state);

  store::ObjectStore& store_;
  const Clock& clock_;
  const DeltaOptions options_;

  std::mutex mutex_;
  Random& random_;  // guarded by mutex_
};

// Bounds how far a log is followed without a checkpoint.
inline constexpr int64_t kDeltaVersionMax = 1'000'000'000'000;
std::string DeltaLogKey(const TablePlace& place, int64_t version, std::string_view suffix);
// The key of a file by its path in the log; nothing for one that is not under the table's root.
std::optional<std::string> DeltaFileKey(const TablePlace& place, std::string_view path);
std::string DeltaPointerKey(const TablePlace& place);
// {20 digits}{suffix}; nothing for another name.
std::optional<int64_t> DeltaVersionOf(std::string_view key, std::string_view suffix);

}  // namespace varve::catalog
