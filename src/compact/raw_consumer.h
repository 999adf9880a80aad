// Turns raw files into log files, as the queue announces them.
//
// 1. Gather (one thread at a time): messages are taken as they become visible, and their raw files
//    read, until flush_threshold items are there, or max_batch_size messages, or
//    gather_bytes_max bytes, or max_batch_timeout_ms have passed since the oldest was sent.
// 2. Plan and commit (all threads at once): what was gathered becomes one plan, or several where
//    it has more than rows_max rows; see raw_committer.h for why each row comes out once.
// 3. A source that cannot be turned into rows is retried and dead-lettered on its own; a failure of
//    the store, the disk or the state is nobody's fault: messages are given back unblamed, the
//    recorded plan is done again later, with a pause that doubles up to pause_max_ms.
//
// Leases carry a holder's name. Start gives back those of an earlier process, so nothing waits for
// a lease to run out after a crash.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "compact/raw_committer.h"
#include "compact/raw_intake.h"
#include "compact/raw_ledger.h"
#include "core/clock.h"
#include "core/result.h"
#include "queue/sqlite_queue.h"
#include "store/object_store.h"

namespace varve::compact {

struct RawConsumerOptions {
  std::string queue;             // declared by the caller
  std::string downstream_queue;  // empty: no parquet-written messages
  std::string raw_prefix = "raw-events";
  std::string parquet_prefix = "logs/workers";
  record::LogCodec codec = record::LogCodec::kLz4;
  uint64_t flush_threshold = 1'000;  // items
  uint32_t max_batch_size = 100;     // messages
  uint64_t max_batch_timeout_ms = 30'000;
  uint64_t rows_max = 200'000;            // of a plan, but for the last raw file in it
  uint64_t files_max = 1'000;             // outputs of a plan, likewise
  uint64_t row_bytes_max = 256ull << 20;  // rows of a plan in memory, likewise
  uint64_t gather_bytes_max = 64ull << 20;
  uint64_t lease_ms = 120'000;
  uint64_t pause_min_ms = 1'000;  // after a failure
  uint64_t pause_max_ms = 60'000;
  uint32_t consumers = 1;  // threads
  std::string holder = "raw-consumer";
  // May the raw file be taken, or are its rows still shown from elsewhere? See raw_ledger.h. Called
  // by several threads; unset: always.
  std::function<bool(std::string_view key)> ready;
};

struct RawStats {
  IntakeCounts intake;
  CommitReport committed;
  uint64_t records_ingested = 0;  // rows made, committed or not yet
  uint64_t flushes = 0;           // plans done
  uint64_t failures = 0;          // of store, disk or state
  int64_t last_flush_ms = 0;
};

class RawConsumer {
 public:
  RawConsumer(RawConsumerOptions options, store::ObjectStore& store, queue::SqliteQueue& queue,
              RawLedger& ledger, const Clock& clock);
  ~RawConsumer();

  // Gives back an earlier process's leases, does its unfinished plans again, starts the threads.
  Status Start();
  void Stop();  // what has been gathered is committed first

  // One round on the caller's thread, without waiting for more messages: how many it took.
  Result<uint64_t> RunOnce();
  RawStats stats() const;

 private:
  void Loop(std::stop_token stop);
  // False: it failed, and the caller pauses.
  bool Round(RawIntake& intake, const std::stop_token& stop);
  Status Gather(RawIntake& intake, bool wait, const std::stop_token& stop);
  bool Gathered(RawIntake& intake, int64_t first_ns) const;
  int64_t AgeMs(RawIntake& intake, int64_t first_ns) const;
  Status Process(RawIntake& intake);
  Status CommitGroup(RawIntake& intake, RowGroups groups, std::vector<HeldSource*> sources);
  Status CommitFiles(RawIntake& intake, RowGroups& groups, std::vector<LogFile> files,
                     const std::vector<HeldSource*>& sources);
  Status CommitEachAlone(RawIntake& intake, const std::vector<HeldSource*>& sources);
  Result<RawSource> ReadAgain(const SourceId& id);
  void KeepLeases(RawIntake& intake, int64_t& extended_ns);
  void NoteCommitted(const CommitReport& report);
  Status ResumeUnfinished();
  RawPaths paths() const { return {options_.raw_prefix, options_.parquet_prefix}; }

  const RawConsumerOptions options_;
  store::ObjectStore& store_;
  queue::SqliteQueue& queue_;
  RawLedger& ledger_;
  const Clock& clock_;
  RawCommitter committer_;

  std::mutex gather_mutex_;  // held by the one thread that gathers

  mutable std::mutex stats_mutex_;
  RawStats stats_;  // guarded by stats_mutex_

  std::vector<std::jthread> threads_;
};

}  // namespace varve::compact
