// The write-ahead log of acknowledged input. One committer thread gathers what is waiting, writes
// it with one pwritev and one fdatasync, then tells each waiter. A record is in the hot rows from
// the moment before its waiter is told, until the flush unit that holds it is done.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/keyed_hash.h"
#include "core/namespace_id.h"
#include "core/result.h"
#include "record/event.h"

namespace varve::journal {

using Lsn = uint64_t;  // a record's number: 1, 2, 3 … over the journal's whole life

struct AppendRequest {
  record::RecordKind kind = record::RecordKind::kEvents;
  NamespaceId ns;
  int64_t received_ms = 0;
  std::string batch_id;
  std::vector<record::EventRef> events;
  std::vector<Hash128> event_ids;  // beside events, {} for one without an id; or empty: none has
  std::string body;                // moved in; capacity for kJsonPaddingBytes more
};

struct JournalOptions {
  std::string directory;
  uint64_t bytes_max = 8ull << 30;           // all segments; Append beyond it is kExhausted
  uint64_t segment_bytes = 64ull << 20;      // a segment's size; bounds the largest record
  uint64_t pending_bytes_max = 64ull << 20;  // appended, not yet committed
  uint64_t round_bytes_max = 4ull << 20;     // written by one commit; a larger record goes alone
  uint64_t records_max = 1'000'000;          // not released; 32 bytes of memory each
  uint32_t ready_segments = 4;               // prepared ahead of the committer, in the background
  uint32_t spare_segments = 16;  // at most as many are kept for reuse once their space is free
  // Everything up to here is known to be held by objects (ingest::FlushedUpTo): nothing beyond it
  // may have been released. An empty journal goes on after it; a journal that ends before it, or
  // starts beyond the next, is kCorrupt.
  Lsn flushed_lsn = 0;
};

struct Record {  // a view into a mapped segment
  Lsn lsn;
  record::RecordKind kind;
  std::string_view ns;
  int64_t received_ms;
  std::string_view batch_id;
  std::span<const record::EventRef> events;
  std::span<const Hash128> event_ids;  // as in AppendRequest
  std::string_view body;
  uint32_t file = 0;  // of HotRecords::files, in whose mapping the views lie
};

// A segment as others can map it: it is neither written where it holds records, nor used for
// others, as long as the records are pinned.
struct RecordFile {
  int fd;  // for reading alone
  const char* base;
  uint64_t bytes;
};

// Records in LSN order, alive as long as this object is. When it goes, the pages that reading it
// has brought into this process's resident memory are given back.
struct HotRecords {
  std::vector<Record> records;
  std::vector<RecordFile> files;
  std::shared_ptr<const void> pins;
};

struct JournalStats {
  uint64_t bytes_used = 0, bytes_max = 0, segments = 0;
  uint64_t records = 0, events = 0, commits = 0, bytes_written = 0;
  Lsn last_lsn = 0;
  uint64_t hot_events = 0, hot_bytes = 0;
  uint64_t torn_bytes_dropped = 0;  // at the last open
};

class Journal {
 public:
  virtual ~Journal() = default;
  // done runs on the committer thread after the record is on disk; it must not block.
  // kExhausted (JOURNAL_FULL | DISK_FULL | BUSY), kInvalid (RECORD_TOO_LARGE), kRetryable
  // (JOURNAL_CLOSED | JOURNAL_BLOCKED): nothing was taken. A failed fdatasync ends the process.
  virtual Status Append(AppendRequest request, std::function<void(Lsn)> done) = 0;
  // What Append would say now to a record of so many bytes that fits a segment.
  virtual Status WouldTake(uint64_t bytes) const = 0;
  // Records with lsn in (after, upto] of the kinds in the mask (bit 1 << kind).
  virtual HotRecords Read(Lsn after, Lsn upto, uint32_t kinds) const = 0;
  virtual Lsn last_lsn() const = 0;
  virtual Lsn first_lsn() const = 0;  // the oldest record still here; last_lsn() + 1 when none is
  // Everything up to and including lsn is held by objects: its space is given back.
  virtual void Release(Lsn upto) = 0;
  virtual JournalStats Stats() const = 0;
  // Commits what was appended; refuses more.
  virtual void Close() = 0;
};

// Creates the directory, or replays what it holds. kConflict (JOURNAL_LOCKED): another process has
// it. kCorrupt (JOURNAL_CORRUPT): an acknowledged record is damaged or missing; the message names
// file and offset. A torn tail (written, never acknowledged) is dropped, counted and logged.
Result<std::unique_ptr<Journal>> OpenJournal(JournalOptions options, const Clock& clock);

// The same records, and nothing in the directory is changed: several processes may look at once,
// while none writes. Append is kInvalid.
Result<std::unique_ptr<Journal>> OpenJournalToRead(const JournalOptions& options);

}  // namespace varve::journal
