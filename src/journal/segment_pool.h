// Segments that are ready to be written, made ahead of the committer by a thread of their own.
//
// 1. A new segment is written full of zeros under a temporary name, given its header, synced, and
//    renamed to its epoch's name; then the directory is synced.
// 2. A released segment (objects hold all of it) is renamed to the next epoch's name, the directory
//    is synced, and then its header is rewritten. A crash in between leaves a header of another
//    epoch, under which no record verifies: the next open drops the file. Order matters: the name
//    first, else a crash could leave live-looking contents under a dead epoch's name.
// 3. A released segment that a reader still pins is unlinked instead: its pages stay until the
//    reader goes, and nothing writes to them.
// 4. On a disk that becomes full the journal stops first: it leaves free as much room as it holds
//    itself, for the objects that its rows become. Else it would take the last room, no flush could
//    give any back, and room made by hand would go to more input instead of the flush.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "core/result.h"
#include "journal/segment.h"

namespace varve::journal {

// Why no segment can be made now.
enum class PoolBlock : uint8_t { kNone, kJournalFull, kDiskFull, kFailing };

class SegmentPool {
 public:
  // live_files: segment files that the journal itself holds at the start.
  SegmentPool(const JournalOptions& options, uint64_t next_epoch, uint64_t live_files);
  ~SegmentPool();  // after Stop

  // Waits for one; nullptr once stopped, or draining while none can be made.
  std::shared_ptr<Segment> Take();
  // The journal has given them up: no reader can pin them any more.
  void Recycle(std::vector<std::shared_ptr<Segment>> released);
  void Drain();  // from here on Take does not wait for space
  void Stop();   // joins the thread

  PoolBlock block() const { return block_.load(std::memory_order_relaxed); }
  uint32_t ready_count() const { return ready_count_.load(std::memory_order_relaxed); }
  uint64_t file_count() const { return file_count_.load(std::memory_order_relaxed); }

 private:
  void Run();
  bool HasWork() const;            // lock held
  void SetBlock(PoolBlock block);  // lock held
  Status Step(std::unique_lock<std::mutex>& lock);
  Status LeavesRoom(uint64_t more_bytes) const;
  Result<std::shared_ptr<Segment>> Create();
  Result<std::shared_ptr<Segment>> Reuse(std::shared_ptr<Segment> released);
  SegmentIdentity NextIdentity();

  const JournalOptions options_;
  uint64_t next_epoch_;  // the thread's own

  mutable std::mutex mutex_;
  std::condition_variable ready_changed_, work_changed_;
  std::deque<std::shared_ptr<Segment>> ready_;
  std::deque<std::shared_ptr<Segment>> released_;
  bool draining_ = false;
  bool stopping_ = false;

  std::atomic<PoolBlock> block_{PoolBlock::kNone};
  std::atomic<uint32_t> ready_count_{0};
  std::atomic<uint64_t> file_count_;
  std::thread thread_;
};

}  // namespace varve::journal
