// Makes a plan's files exist once, and its messages go away with it.
//
// 1. Record the plan: sources, output names. From here on the sources belong to it.
// 2. Put the quarantine files, then the outputs, each only if absent. One that is there already was
//    put by an earlier try of the same plan: no other could have its name.
// 3. Finish: in one transaction the plan is done, the messages are acked, and one parquet-written
//    message for each file is sent downstream.
//
// A crash or a failed put between 1 and 3 leaves the plan unfinished. ResumeUnfinished does it
// again from its recorded sources, or abandons it where they are no longer the same bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "compact/raw_ledger.h"
#include "compact/raw_rows.h"
#include "core/clock.h"
#include "core/result.h"
#include "queue/sqlite_queue.h"
#include "store/object_store.h"

namespace varve::compact {

struct CommitterOptions {
  RawPaths paths;
  record::LogCodec codec = record::LogCodec::kLz4;
  std::string queue;
  std::string downstream_queue;  // empty: nothing is sent
};

// What committing plans has added to the lake.
struct CommitReport {
  uint64_t plans = 0, plans_resumed = 0, plans_abandoned = 0;
  uint64_t sources = 0, files = 0, rows = 0, bytes = 0;
  uint64_t quarantine_files = 0, quarantine_lines = 0;
  RowCounts counts;
  void Add(const CommitReport& more);
};

// Thread-safe.
class RawCommitter {
 public:
  RawCommitter(CommitterOptions options, store::ObjectStore& store, queue::SqliteQueue& queue,
               RawLedger& ledger, const Clock& clock)
      : options_(std::move(options)),
        store_(store),
        queue_(queue),
        ledger_(ledger),
        clock_(clock) {}

  struct Batch {
    std::vector<SourceId> sources;
    std::vector<LogFile> files;
    std::vector<QuarantineFile> quarantine;
    RowCounts counts;
  };
  // alive is called between the slow steps, to keep leases. After an Error the plan, if it was
  // recorded, stays for ResumeUnfinished. kConflict: a source is another plan's, none was recorded.
  Result<CommitReport> Commit(Batch batch, const std::vector<std::string>& lease_ids,
                              const std::function<void()>& alive);
  // Does every recorded plan again that nobody is working on. The report says what was done even
  // where an Error ended it.
  Status ResumeUnfinished(CommitReport& report);

 private:
  Status PutAll(const Plan& plan, const Batch& batch, const std::function<void()>& alive);
  Status PutOnce(const std::string& key, const std::string& bytes, int64_t rows,
                 const char* content_type);
  Status Finish(const Plan& plan, const Batch& batch, const std::vector<std::string>& lease_ids);
  Result<CommitReport> Resume(const Plan& plan);
  // Nothing: the recorded sources do not give the recorded outputs any more.
  Result<std::optional<Batch>> Rebuild(const Plan& plan);
  Result<CommitReport> Abandon(const Plan& plan);
  Status Claim(Plan& plan);
  void Unclaim(int64_t plan_id);

  const CommitterOptions options_;
  store::ObjectStore& store_;
  queue::SqliteQueue& queue_;
  RawLedger& ledger_;
  const Clock& clock_;

  std::mutex mutex_;           // held while a plan is recorded or claimed
  std::set<int64_t> claimed_;  // plans that a thread of ours is working on
};

}  // namespace varve::compact
