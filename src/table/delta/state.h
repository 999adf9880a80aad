// A Delta table at one version: what its log adds up to; and the next commit, built on it.
//
// Conflict rules: two commits that only add commute. A commit that removes needs its files still
// live, and the table's metadata as it was. A txn that is there already means the commit is done.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/result.h"
#include "table/delta/actions.h"

namespace varve::table::delta {

struct State {
  int64_t version = -1;
  int64_t timestamp_ms = 0;       // of the last commit
  int64_t informed_version = -1;  // the last that IsInformed, as far as commits were read
  Protocol protocol;
  TableInfo table;
  std::unordered_map<std::string, Add> files;  // by path, as in the log
  std::unordered_map<std::string, Remove> tombstones;
  std::map<std::string, Txn> txns;

  // The next version's actions. kCorrupt if they cannot follow.
  Status Apply(int64_t next, const Commit& commit);
};

struct Change {
  std::string operation = "WRITE";  // OPTIMIZE for a compaction
  std::map<std::string, std::string> parameters;
  std::vector<Add> adds;
  std::vector<std::string> removes;  // paths as in the log
  std::optional<Txn> txn;
  std::vector<Txn> brought;                    // of other commits, whose work this one has too
  std::string commit_id;                       // a nonce: which commit a file in the log is
  std::optional<std::string> table_id;         // must be this one still
  std::optional<TableInfo> table;              // a new schema or configuration
  std::optional<std::string> old_schema_json;  // that it was made from, and must be there still
  bool data_change = true;                     // false: a compaction; the rows are the same
  bool informed = false;                       // as IsInformed says
};

struct Built {
  bool already_done = false;
  Commit commit;
};

// kConflict: SOURCE_NOT_LIVE, FILE_ALREADY_LIVE, TABLE_CHANGED; kInvalid: CheckTakesFiles.
Result<Built> BuildCommit(const State& base, const Change& change, int64_t now_ms);

// Version 0: a table of this schema, and nothing in it.
Result<Commit> CreateCommit(const std::string& id, const std::string& name, const Schema& schema,
                            const std::map<std::string, std::string>& configuration,
                            const std::string& commit_id, int64_t now_ms);

// The commit's own nonce; empty if it has none, being another program's.
std::string CommitIdOf(const Commit& commit);
// It was made in the knowledge of all commits before it: none of them need be looked at again.
bool IsInformed(const Commit& commit);
int64_t TimestampOf(const Commit& commit);  // of its commitInfo; 0: none
std::string OperationOf(const Commit& commit);

// A txn that only tells a repeated commit from a new one; its appId ends in the commit's nonce.
// A checkpoint drops it once it is as old as tombstones get, for there is one of every commit.
inline constexpr const char* kCommitTxnPrefix = "varve/commit/";
inline constexpr const char* kMarkTxnPrefix = "varve/";  // and the mark's shard

// Milliseconds out of "interval 7 days" or "interval 1 week"; otherwise the default.
int64_t IntervalMs(const std::string& text, int64_t otherwise);
inline constexpr const char* kTombstoneRetention = "delta.deletedFileRetentionDuration";
inline constexpr int64_t kTombstoneRetentionMs = int64_t{7} * 86'400'000;
int64_t TombstoneRetentionMs(const TableInfo& table);

}  // namespace varve::table::delta
