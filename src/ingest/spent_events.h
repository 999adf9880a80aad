// Which events' own ids are spent. An id is spent with the durable event that carries it, in its
// namespace, for one window or until ids_max newer ones have come.
//
// 1. An id is known by a hash of namespace and id under the data directory's key, so that nobody
//    can make up ids that pass for another's.
// 2. Append asks the table, leaves out the events whose ids are in it, and puts the rest in the
//    journal's line, all under one lock: an id that the table knows belongs to a record before any
//    that comes later. If the journal refuses, the ids leave the table under the same lock.
// 3. A batch of nothing but duplicates waits for the newest record in line. If it has a batch id,
// it
//    makes a record of that alone.
// 4. The journal's records carry their hashes; before the flusher ends a unit, Flushed puts them
//    into the id log, from where, and from the journal, a start brings them back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/keyed_hash.h"
#include "core/result.h"
#include "ingest/event_id_log.h"
#include "ingest/event_id_table.h"
#include "journal/journal.h"

namespace varve::ingest {

struct SpentEventsOptions {
  std::string directory;
  uint64_t ids_max = 0;  // 0: an event's id means nothing
  uint64_t window_ms = 0;
  Hash128 key;
};

struct Stored {
  journal::Lsn lsn = 0;  // of the record, or of the last one that all of them may be in
  uint64_t events = 0;   // stored now; the rest had been
  uint64_t duplicates = 0;
  bool has_record = false;
};

struct SpentEventsStats {
  uint64_t remembered = 0;
  uint64_t forgotten = 0;  // before their window was over
};

class SpentEvents {
 public:
  // `after`: records up to there have left the journal (Flusher::EventsDone). Borrowed, outlive it.
  static Result<std::unique_ptr<SpentEvents>> Open(SpentEventsOptions options,
                                                   journal::Journal& journal, journal::Lsn after,
                                                   const Clock& clock);

  // What request.event_ids is to be; empty if no event has an id, or ids mean nothing.
  std::vector<Hash128> Identify(const NamespaceId& ns, std::string_view body,
                                const record::EventBatch& batch) const;

  // As Journal::Append of those events whose ids are not spent. done runs when all are durable, on
  // this thread or the committer's. Thread-safe.
  using Done = std::function<void(const Stored&)>;
  Status Append(journal::AppendRequest request, Done done);

  // The unit with these records is about to end. The flusher's thread.
  Status Flushed(const std::vector<journal::Record>& records);

  SpentEventsStats stats() const;

 private:
  SpentEvents(SpentEventsOptions options, journal::Journal& journal, const Clock& clock,
              EventIdTable table);
  void Restore(journal::Lsn after);  // the ids of later records
  uint64_t LeaveOutSpent(journal::AppendRequest* request, uint64_t* spent_now);
  void WhenDurable(uint64_t ticket, Done done);
  void Durable(uint64_t ticket, journal::Lsn lsn);

  struct Waiter {
    uint64_t ticket;
    Done done;
  };

  const SpentEventsOptions options_;
  journal::Journal& journal_;
  const Clock& clock_;
  std::unique_ptr<EventIdLog> log_;  // the flusher's, once open

  mutable std::mutex mutex_;
  EventIdTable table_;
  uint64_t appended_ = 0;  // tickets: records with ids, as they went into the journal's line
  uint64_t forgotten_at_start_ = 0;

  std::mutex waiters_mutex_;  // not held together with the other
  uint64_t durable_ = 0;      // the last ticket whose record is
  journal::Lsn durable_lsn_ = 0;
  std::vector<Waiter> waiters_;
};

}  // namespace varve::ingest
