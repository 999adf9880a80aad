// The segments that hold records no object is known to hold: what readers see. The committer adds
// at one end, Release takes from the other; readers pin what they look at.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "journal/journal.h"
#include "journal/segment.h"

namespace varve::journal {

class LiveSegments {
 public:
  // In LSN order, each with a record. last_lsn: where the numbering stands.
  LiveSegments(std::vector<std::shared_ptr<Segment>> segments, Lsn last_lsn);

  // By the committer only.
  void Add(std::shared_ptr<Segment> segment);
  void Publish(Segment& segment, Lsn first_lsn, const std::vector<IndexEntry>& entries);

  HotRecords Read(Lsn after, Lsn upto, uint32_t kinds) const;
  // The segments that are given up: wholly at or below upto. The newest one with a record stays,
  // because it carries the numbering over a restart.
  std::vector<std::shared_ptr<Segment>> Release(Lsn upto);

  Lsn last_lsn() const { return last_lsn_.load(std::memory_order_acquire); }
  Lsn first_lsn() const;
  uint64_t record_count() const { return records_.load(std::memory_order_relaxed); }
  uint64_t file_count() const;
  void AddStats(JournalStats* stats) const;

 private:
  mutable std::mutex mutex_;
  std::deque<std::shared_ptr<Segment>> segments_;
  Lsn released_ = 0;

  std::atomic<Lsn> last_lsn_;
  std::atomic<uint64_t> records_{0};  // in these segments
  std::atomic<uint64_t> hot_events_{0}, hot_bytes_{0};
};

}  // namespace varve::journal
