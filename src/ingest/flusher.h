// Moves acknowledged rows out of the journal into objects, on one thread of low priority.
//
// 1. NoteAppended counts what each stream has in the journal. A stream is due when it has enough
//    rows or bytes, when its oldest row has waited long enough or holds back too much of the
//    journal's space, or when it was asked for.
// 2. A due stream's oldest records, at most unit_bytes_max of them, become a unit: a row in the
//    state, committed before anything is put, says which records and under which number.
// 3. The unit's objects are put, each only if it is absent.
// 4. What else is to outlive the journal's records (the events' own ids) is made durable.
// 5. One transaction removes the unit's row, moves the stream's mark, and keeps the batch ids.
//    Then the view changes, waiters are told, and the journal's space is given back.
//
// A crash between 2 and 5 leaves the row: the unit is done again first, with the same records, the
// same names and so the same objects. A store that refuses is tried again without end; the journal
// keeps the rows, and its bound pushes back on those who send.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "core/namespace_id.h"
#include "core/result.h"
#include "ingest/flush_output.h"
#include "ingest/flush_units.h"
#include "ingest/flush_view.h"
#include "journal/journal.h"
#include "store/object_store.h"

namespace varve::ingest {

struct FlusherOptions {
  uint64_t events_flush_bytes = 64ull << 20;
  uint64_t events_flush_ms = 5'000;
  uint32_t raw_events_batch_size = 100;
  uint64_t flush_interval_ms = 30'000;
  std::string raw_events_prefix = "raw-events";
  uint64_t unit_bytes_max = 64ull << 20;  // of journal records; one larger record goes alone
  uint32_t unit_files_max = 512;          // namespaces and hours; one record may exceed it
  uint64_t retry_ms_max = 5'000;          // between two tries of a unit that the store refused
  uint64_t stop_ms_max = 30'000;          // how long Stop waits for a store that refuses
  uint64_t dedup_window_ms = 86'400'000;
};

struct FlusherStats {
  uint64_t units = 0, files = 0, rows = 0, bytes = 0, failures = 0;
  uint64_t waiting_rows = 0, waiting_bytes = 0;
  int64_t oldest_waiting_ms = 0;  // when the oldest waiting row was noted; 0: none waits
  std::string last_error;         // of the unit being tried; empty: none
};

class Flusher : public FlushViews {
 public:
  // All are borrowed and outlive the flusher. Counts what the journal holds and finds open units;
  // Start begins the work.
  static Result<std::unique_ptr<Flusher>> Open(FlusherOptions options, Instance instance,
                                               journal::Journal& journal, store::ObjectStore& store,
                                               state::Database& database, const Clock& clock);
  ~Flusher() override;

  // Event records that the next transaction takes for done; it waits for what this returns, and is
  // tried again after an error, as puts are. Called on the flusher's thread; before Start.
  using BeforeEventsEnd = std::function<Status(const std::vector<journal::Record>&)>;
  void SetBeforeEventsEnd(BeforeEventsEnd before_events_end);
  // upto: every event record up to there is in objects, its batch id in ingest_dedup.
  // Called on the flusher's thread; before Start.
  void SetOnEventsDone(std::function<void(journal::Lsn upto)> on_events_done);
  void Start();
  // Flushes all that is there, then ends. Append has ended before. kExhausted, kInternal …: the
  // store refused for stop_ms_max; the journal keeps the rows.
  Status Stop();

  // For each record once, in LSN order, after it is durable (the committer's thread).
  void NoteAppended(record::RecordKind kind, std::string_view ns, journal::Lsn lsn, uint64_t bytes,
                    uint64_t rows);
  // Calls back once the stream's record is in an object, and makes that soon. May call at once.
  void WhenDone(record::RecordKind kind, std::string_view ns, journal::Lsn lsn,
                std::function<void()> callback);
  void FlushTail(const NamespaceId& ns);  // soon, without waiting for more

  journal::Lsn EventsDone() const;  // objects hold the event records up to here
  FlushView CurrentView(const NamespaceId& ns) const override;
  // False for a raw file of ours whose unit is not done: its rows are still shown as hot ones.
  bool IsRawFileDone(std::string_view key) const;
  FlusherStats stats() const;
  const Instance& instance() const { return instance_; }

 private:
  struct Stream {
    journal::Lsn done_lsn = 0;
    journal::Lsn first_lsn = 0;  // nothing of the stream that waits is older; where it waits
    journal::Lsn last_lsn = 0;   // of the newest record noted
    uint64_t raw_seq_done = 0;
    uint64_t waiting_bytes = 0, waiting_rows = 0;
    int64_t oldest_ns = 0;         // monotonic, when the oldest waiting record was noted
    uint64_t oldest_at_bytes = 0;  // noted_bytes_ at that moment
    journal::Lsn asked_lsn = 0;    // someone waits for everything up to here
    bool waits() const { return last_lsn > done_lsn; }
  };
  struct Waiter {
    std::string stream;
    journal::Lsn lsn;
    std::function<void()> callback;
  };
  using Lock = std::unique_lock<std::mutex>;

  Flusher(FlusherOptions options, Instance instance, journal::Journal& journal,
          store::ObjectStore& store, const Clock& clock, FlushUnits units);
  Status Recover();
  void Loop();
  const std::string* NextDue(int64_t* wait_ns) const;  // under mutex_
  int64_t DueInNs(const std::string& name, const Stream& stream) const;
  bool WaitForWork(Lock& lock);
  Status FlushStream(const std::string& name);
  Status FinishUnit(const FlushUnit& unit, const std::vector<journal::Record>& records);
  // The stream's records in (after, upto], oldest first; as many as make one unit, or all.
  journal::HotRecords ReadStream(const std::string& stream, journal::Lsn after, journal::Lsn upto,
                                 bool one_unit) const;
  Status DoUnit(const FlushUnit& unit, const std::vector<journal::Record>& records);
  void MarkDone(const FlushUnit& unit, const std::vector<journal::Record>& records,
                const FlushedObjects& objects);
  void TellWaiters(const FlushUnit& unit);
  journal::Lsn ReleasableAfter(const FlushUnit& unit) const;
  void Backoff(const Error& error, uint64_t* delay_ms);
  void ExpireBatches();

  const FlusherOptions options_;
  const Instance instance_;
  journal::Journal& journal_;
  store::ObjectStore& store_;
  const Clock& clock_;
  FlushUnits units_;
  BeforeEventsEnd before_events_end_;
  std::function<void(journal::Lsn)> on_events_done_;
  std::vector<FlushUnit> recovered_;  // the flusher thread's, after Start
  int64_t expired_ns_ = 0;

  mutable std::mutex mutex_;  // guards the rest
  std::condition_variable work_;
  std::map<std::string, Stream, std::less<>> streams_;
  std::set<uint32_t> open_units_;
  uint32_t last_unit_ = 0;
  journal::Lsn noted_lsn_ = 0;
  uint64_t noted_bytes_ = 0;
  std::vector<Waiter> waiters_;
  FlusherStats stats_;
  bool stopping_ = false;
  int64_t stop_deadline_ns_ = 0;
  Status stopped_with_;

  std::thread thread_;
};

}  // namespace varve::ingest
