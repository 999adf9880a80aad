// Event ids on the disk, from when their records leave the journal until their window is over. The
// journal's own records carry theirs; the flusher hands them on before it ends a unit.
//
// A file holds the ids of about 1/24 of the window, or a 16th of all that are kept, whichever is
// less: blocks of hashes, each with a checksum, appended and synced. A file goes as a whole, when
// its newest id is a window old or when the files after it hold as many ids as are kept.
//
// A crash leaves at most a torn block at the end, whose records the journal still has, or a block
// whose unit is not ended, which is skipped when the unit is done again. A file with a torn end is
// not appended to; the next block starts a new one.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/keyed_hash.h"
#include "core/result.h"
#include "journal/journal.h"

namespace varve::ingest {

struct EventIdLogOptions {
  std::string directory;
  uint64_t ids_max = 0;
  uint64_t window_ms = 0;
  uint64_t owner = 0;             // files of another one are not ours, and go
  journal::Lsn last_lsn = ~0ull;  // of the journal; it may be a backup, older than the files
};

// Ids in the order in which they came, and when the newest of them was received.
using OnIds = std::function<void(std::span<const Hash128> ids, int64_t newest_ms)>;

// One thread at a time.
class EventIdLog {
 public:
  // Makes the directory and reads what it holds.
  static Result<EventIdLog> Open(EventIdLogOptions options, int64_t now_ms, const OnIds& on_ids);
  EventIdLog(EventIdLog&& other) noexcept;
  EventIdLog& operator=(EventIdLog&&) = delete;
  ~EventIdLog();

  // Returns when the ids of these records are durable; those of an earlier call are skipped. After
  // an error the same call may be made again. A failed fsync ends the process.
  Status Append(const std::vector<journal::Record>& records, int64_t now_ms);
  // The ids of all records up to there are in it.
  journal::Lsn persisted() const { return persisted_; }

 private:
  struct File {
    std::string path;
    uint64_t ids = 0;
    int64_t first_ms = 0, newest_ms = 0;
  };
  struct Block {
    std::string bytes;  // the header's place, then hashes
    journal::Lsn upto = 0;
    int64_t newest_ms = 0;
    uint64_t ids() const;
  };

  explicit EventIdLog(EventIdLogOptions options) : options_(std::move(options)) {}
  Status ReadFile(const std::string& path, const OnIds& on_ids);
  Result<bool> ReadBlock(int fd, uint64_t* at, uint64_t end, File* file, const OnIds& on_ids);
  Status AppendBlocks(const std::vector<journal::Record>& records, int64_t now_ms);
  Status StartFile(journal::Lsn first, int64_t now_ms);
  Status WriteBlock(Block* block);
  bool IsFull(const File& file, int64_t now_ms) const;
  void CloseFile();
  void RemoveOld(int64_t now_ms);

  const EventIdLogOptions options_;
  std::deque<File> files_;  // oldest first; fd_ is of the last
  int fd_ = -1;             // -1: the next block starts a file
  journal::Lsn persisted_ = 0;
};

}  // namespace varve::ingest
