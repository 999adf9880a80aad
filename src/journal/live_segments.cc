#include "journal/live_segments.h"

#include <algorithm>
#include <utility>

namespace varve::journal {
namespace {

// Keeps segments mapped and from being reused; gives resident pages back at the end.
class Pins {
 public:
  explicit Pins(std::vector<SegmentPin> segments) : segments_(std::move(segments)) {}
  Pins(const Pins&) = delete;
  Pins& operator=(const Pins&) = delete;
  ~Pins() {
    for (const SegmentPin& segment : segments_) segment->file().DropPages();
  }

 private:
  std::vector<SegmentPin> segments_;
};

bool Wanted(const IndexEntry& entry, uint32_t kinds) {
  return entry.kind != kSealKind && (kinds >> entry.kind & 1) != 0;
}

}  // namespace

LiveSegments::LiveSegments(std::vector<std::shared_ptr<Segment>> segments, Lsn last_lsn)
    : last_lsn_(last_lsn) {
  for (std::shared_ptr<Segment>& segment : segments) {
    for (uint32_t i = 0; i < segment->record_count(); ++i) {
      hot_events_ += segment->entry(i).event_count;
      hot_bytes_ += segment->entry(i).body_size;
    }
    records_ += segment->record_count();
    segments_.push_back(std::move(segment));
  }
}

void LiveSegments::Add(std::shared_ptr<Segment> segment) {
  std::lock_guard lock(mutex_);
  segments_.push_back(std::move(segment));
}

void LiveSegments::Publish(Segment& segment, Lsn first_lsn,
                           const std::vector<IndexEntry>& entries) {
  uint64_t events = 0, bytes = 0;
  for (const IndexEntry& entry : entries) {
    events += entry.event_count;
    bytes += entry.body_size;
  }
  hot_events_.fetch_add(events, std::memory_order_relaxed);
  hot_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  records_.fetch_add(entries.size(), std::memory_order_relaxed);
  segment.Publish(first_lsn, entries);
  last_lsn_.store(first_lsn + entries.size() - 1, std::memory_order_release);
}

HotRecords LiveSegments::Read(Lsn after, Lsn upto, uint32_t kinds) const {
  upto = std::min(upto, last_lsn());
  std::vector<SegmentPin> pinned;
  {
    std::lock_guard lock(mutex_);
    for (const auto& segment : segments_) {
      bool wanted = segment->end_lsn() > after + 1 && segment->first_lsn() <= upto;
      if (wanted) pinned.emplace_back(segment);
    }
  }
  HotRecords out;
  std::vector<SegmentPin> used;
  for (SegmentPin& segment : pinned) {
    Lsn first = segment->first_lsn();
    auto from = static_cast<uint32_t>(after >= first ? after + 1 - first : 0);
    auto end = static_cast<uint32_t>(std::min(segment->end_lsn(), upto + 1) - first);
    size_t before = out.records.size();
    for (uint32_t i = from; i < end; ++i) {
      if (!Wanted(segment->entry(i), kinds)) continue;
      out.records.push_back(segment->View(i));
      out.records.back().file = static_cast<uint32_t>(out.files.size());
    }
    if (out.records.size() == before) continue;
    const MappedFile& file = segment->file();
    out.files.push_back({file.read_fd(), file.base(), file.bytes()});
    used.push_back(std::move(segment));
  }
  out.pins = std::make_shared<const Pins>(std::move(used));
  return out;
}

std::vector<std::shared_ptr<Segment>> LiveSegments::Release(Lsn upto) {
  std::vector<std::shared_ptr<Segment>> released;
  uint64_t events = 0, bytes = 0;
  std::lock_guard lock(mutex_);
  upto = std::min(upto, last_lsn());
  for (const auto& segment : segments_) {
    Lsn first = segment->first_lsn(), end = std::min(segment->end_lsn(), upto + 1);
    for (Lsn lsn = std::max(first, released_ + 1); lsn < end && first != 0; ++lsn) {
      const IndexEntry& entry = segment->entry(static_cast<uint32_t>(lsn - first));
      events += entry.event_count;
      bytes += entry.body_size;
    }
  }
  released_ = std::max(released_, upto);
  hot_events_.fetch_sub(events, std::memory_order_relaxed);
  hot_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  while (segments_.size() > 1) {
    std::shared_ptr<Segment>& oldest = segments_.front();
    bool next_has_records = segments_[1]->record_count() > 0;
    if (!next_has_records || oldest->end_lsn() > upto + 1) break;
    records_.fetch_sub(oldest->record_count(), std::memory_order_relaxed);
    released.push_back(std::move(oldest));
    segments_.pop_front();
  }
  return released;
}

Lsn LiveSegments::first_lsn() const {
  std::lock_guard lock(mutex_);
  for (const auto& segment : segments_) {
    if (segment->record_count() > 0) return segment->first_lsn();
  }
  return last_lsn() + 1;
}

uint64_t LiveSegments::file_count() const {
  std::lock_guard lock(mutex_);
  return segments_.size();
}

void LiveSegments::AddStats(JournalStats* stats) const {
  stats->last_lsn = last_lsn();
  stats->hot_events = hot_events_.load(std::memory_order_relaxed);
  stats->hot_bytes = hot_bytes_.load(std::memory_order_relaxed);
}

}  // namespace varve::journal
