// The journal's two ends, and the thread between them.
//
// Append puts a record in line; the committer makes rounds of what stands there:
// 1. Take what waits, in order, as much as fits the segment's rest and round_bytes_max. While this
//    round is written and synced, the next one gathers.
// 2. Stamp each record with its LSN, write all with one pwritev, fdatasync once.
// 3. Publish the records to readers, then tell each waiter: a row is in queries before its sender
//    hears of it.
// 4. A full segment is followed by one that the pool has made ready: no file is created, renamed
//    or extended on this thread. After an open the first round goes to a fresh segment.
//
// A failed fdatasync ends the process: the kernel may have dropped the pages and would report the
// next sync as done. What was acknowledged is in the file, and replay finds it.
#include "journal/journal.h"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "core/crash_point.h"
#include "core/log.h"
#include "fmt/format.h"
#include "journal/live_segments.h"
#include "journal/lock_file.h"
#include "journal/replay.h"
#include "journal/round.h"
#include "journal/segment_pool.h"
#include "journal/thread_priority.h"

namespace varve::journal {
namespace {

const CrashPoint kBeforeWrite{"journal.before_write"};
const CrashPoint kAfterWrite{"journal.after_write"};
const CrashPoint kAfterSync{"journal.after_sync"};
const CrashPoint kAfterPublish{"journal.after_publish"};

constexpr uint64_t kBatchIdBytesMax = 1024;
// The newest segment is kept even when it is released: alone it must not fill records_max.
constexpr uint64_t kSegmentShareOfRecords = 4;
constexpr auto kDiskFullRetry = std::chrono::milliseconds(200);

Error Refused(PoolBlock block) {
  if (block == PoolBlock::kJournalFull) {
    return MakeError(ErrorKind::kExhausted, "JOURNAL_FULL",
                     "the journal has reached its bound; rows leave it as objects are written");
  }
  if (block == PoolBlock::kDiskFull) {
    return MakeError(ErrorKind::kExhausted, "DISK_FULL",
                     "the journal's disk has no room for another segment");
  }
  return MakeError(ErrorKind::kRetryable, "JOURNAL_BLOCKED",
                   "the journal cannot make another segment; the log says why");
}

class JournalImpl : public Journal {
 public:
  JournalImpl(JournalOptions options, LockFile lock, NameTable names, Replayed replayed);
  ~JournalImpl() override { Close(); }

  Status Append(AppendRequest request, std::function<void(Lsn)> done) override;
  Status WouldTake(uint64_t bytes) const override;
  HotRecords Read(Lsn after, Lsn upto, uint32_t kinds) const override {
    return live_.Read(after, upto, kinds);
  }
  Lsn last_lsn() const override { return live_.last_lsn(); }
  Lsn first_lsn() const override { return live_.first_lsn(); }
  void Release(Lsn upto) override { pool_.Recycle(live_.Release(upto)); }
  JournalStats Stats() const override;
  void Close() override;

 private:
  Status Admit(uint64_t bytes) const;  // lock held
  bool Fits(uint64_t bytes) const;
  void Run();
  bool TakeRound(std::unique_lock<std::mutex>& lock);
  bool Rotate();
  void Commit();
  void WriteUntilDone();
  void Seal();

  const JournalOptions options_;
  const LockFile lock_file_;
  const uint64_t torn_bytes_;
  LiveSegments live_;
  SegmentPool pool_;

  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::deque<Waiting> waiting_;
  uint64_t waiting_bytes_ = 0;  // in line or in the round
  uint64_t waiting_count_ = 0;
  bool closing_ = false;
  bool idle_ = false;

  // The committer's own.
  NameTable names_;
  std::shared_ptr<Segment> active_;
  uint64_t at_ = 0;  // where the next round starts in it
  std::vector<Waiting> taken_;
  Round round_;

  std::atomic<uint64_t> active_rest_{0};  // bytes
  std::atomic<uint64_t> commits_{0}, bytes_written_{0}, records_{0}, events_{0};
  std::once_flag closed_;
  std::thread committer_;
};

JournalImpl::JournalImpl(JournalOptions options, LockFile lock, NameTable names, Replayed replayed)
    : options_(std::move(options)),
      lock_file_(std::move(lock)),
      torn_bytes_(replayed.torn_bytes),
      live_(std::move(replayed.segments), std::max(replayed.last_lsn, options_.flushed_lsn)),
      pool_(options_, replayed.last_epoch + 1, live_.file_count() + replayed.unused.size()),
      names_(std::move(names)) {
  pool_.Recycle(std::move(replayed.unused));
  committer_ = std::thread([this] { Run(); });
}

// Whether the segments that exist take so much more, besides what waits already.
bool JournalImpl::Fits(uint64_t bytes) const {
  uint64_t need = waiting_bytes_ + bytes + (waiting_count_ + 1) * kPageBytes;
  uint64_t segment = options_.segment_bytes - kSegmentHeaderBytes - kSegmentTailBytes;
  uint32_t ready = pool_.ready_count();
  uint64_t rest = active_rest_.load(std::memory_order_relaxed);
  return need <= (ready > 0 ? ready * segment : rest);
}

Status JournalImpl::Admit(uint64_t bytes) const {
  if (closing_) {
    return MakeError(ErrorKind::kRetryable, "JOURNAL_CLOSED", "the journal is being closed");
  }
  if (waiting_bytes_ > 0 && waiting_bytes_ + bytes > options_.pending_bytes_max) {
    return MakeError(ErrorKind::kExhausted, "BUSY", "too much input waits for the journal's disk");
  }
  if (live_.record_count() + waiting_count_ >= options_.records_max) {
    return Refused(PoolBlock::kJournalFull);
  }
  PoolBlock block = pool_.block();
  if (block != PoolBlock::kNone && !Fits(bytes)) return Refused(block);
  return {};
}

Status JournalImpl::Append(AppendRequest request, std::function<void(Lsn)> done) {
  uint64_t room = options_.segment_bytes - kSegmentHeaderBytes - kSegmentTailBytes;
  const bool has_event_ids = !request.event_ids.empty();
  uint64_t payload = request.events.size() * EventBytes(has_event_ids) + request.ns.name().size() +
                     request.batch_id.size() + request.body.size();
  if (payload + kPageBytes > room || request.batch_id.size() > kBatchIdBytesMax) {
    return MakeError(ErrorKind::kInvalid, "RECORD_TOO_LARGE",
                     fmt::format("a journal record of {} bytes; at most {} fit a segment", payload,
                                 room - kPageBytes));
  }
  Waiting record;
  record.bytes = AlignUp(sizeof(RecordHeader) + payload, kRecordAlignBytes);
  {
    std::lock_guard lock(mutex_);  // refused before the work of encoding
    TRY(Admit(record.bytes));
  }
  record.kind = static_cast<uint8_t>(request.kind);
  record.head = EncodeHead(request, record.kind);
  record.ns = request.ns.name();
  record.received_ms = request.received_ms;
  record.event_count = static_cast<uint32_t>(request.events.size());
  record.batch_id_size = static_cast<uint16_t>(request.batch_id.size());
  record.has_event_ids = has_event_ids;
  record.body = std::move(request.body);
  record.done = std::move(done);
  std::lock_guard lock(mutex_);
  TRY(Admit(record.bytes));
  waiting_bytes_ += record.bytes;
  ++waiting_count_;
  waiting_.push_back(std::move(record));
  if (idle_) work_.notify_one();
  return {};
}

Status JournalImpl::WouldTake(uint64_t bytes) const {
  std::lock_guard lock(mutex_);
  return Admit(bytes);
}

void JournalImpl::Run() {
  PreferWakeup();
  std::unique_lock lock(mutex_);
  while (true) {
    idle_ = true;
    work_.wait(lock, [&] { return closing_ || !waiting_.empty(); });
    idle_ = false;
    if (waiting_.empty()) break;
    if (!TakeRound(lock)) break;
    lock.unlock();
    Commit();
    lock.lock();
  }
  size_t left = waiting_.size();
  lock.unlock();
  if (left > 0) {
    LogWarn("journal.closed_with_uncommitted", {{"records", left}});
  } else {
    Seal();
  }
}

// Moves what the next round holds from the line to taken_. False: closed while no segment was to be
// had.
bool JournalImpl::TakeRound(std::unique_lock<std::mutex>& lock) {
  uint64_t first = waiting_.front().bytes;
  if (active_ == nullptr || at_ + AlignUp(first, kPageBytes) > active_->data_end() ||
      active_->record_count() >= options_.records_max / kSegmentShareOfRecords) {
    lock.unlock();
    bool rotated = Rotate();
    lock.lock();
    if (!rotated) return false;
  }
  uint64_t rest = active_->data_end() - at_;
  uint64_t bytes = 0;
  while (!waiting_.empty()) {
    uint64_t next = bytes + waiting_.front().bytes;
    bool too_much = bytes > 0 && (next > options_.round_bytes_max ||
                                  taken_.size() * kSegmentShareOfRecords >= options_.records_max);
    if (too_much || AlignUp(next, kPageBytes) > rest) break;
    bytes = next;
    taken_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return true;
}

bool JournalImpl::Rotate() {
  std::shared_ptr<Segment> next = pool_.Take();
  if (next == nullptr) return false;
  live_.Add(next);
  active_ = std::move(next);
  at_ = kSegmentHeaderBytes;
  active_rest_.store(active_->data_end() - at_, std::memory_order_relaxed);
  return true;
}

void JournalImpl::WriteUntilDone() {
  // The space is allocated, so that a full disk cannot show here on most file systems; on one that
  // copies on write it can, and then the round waits.
  for (bool logged = false;; logged = true) {
    Status written = round_.Write();
    if (written.ok()) return;
    bool full = written.error().kind == ErrorKind::kExhausted;
    if (!logged) LogError("journal.write_failed", {{"error", written.error().message}});
    if (!full) std::abort();
    std::this_thread::sleep_for(kDiskFullRetry);
  }
}

void JournalImpl::Commit() {
  round_.Begin(*active_, at_, live_.last_lsn() + 1);
  uint64_t events = 0;
  for (Waiting& record : taken_) {
    round_.Add(record, names_);
    events += record.event_count;
  }
  kBeforeWrite.Hit();
  WriteUntilDone();
  kAfterWrite.Hit();
  if (fdatasync(active_->file().fd()) != 0) {
    LogError("journal.sync_failed",
             {{"path", active_->path()}, {"errno", errno}, {"action", "the process ends"}});
    std::abort();
  }
  kAfterSync.Hit();
  at_ += round_.padded_bytes();
  active_rest_.store(active_->data_end() - at_, std::memory_order_relaxed);
  live_.Publish(*active_, round_.first_lsn(), round_.entries());
  commits_.fetch_add(1, std::memory_order_relaxed);
  bytes_written_.fetch_add(round_.padded_bytes(), std::memory_order_relaxed);
  records_.fetch_add(taken_.size(), std::memory_order_relaxed);
  events_.fetch_add(events, std::memory_order_relaxed);
  {
    std::lock_guard lock(mutex_);
    waiting_bytes_ -= round_.bytes();
    waiting_count_ -= taken_.size();
  }
  kAfterPublish.Hit();
  Lsn lsn = round_.first_lsn();
  for (Waiting& record : taken_) {
    if (record.done) record.done(lsn);
    ++lsn;
  }
  taken_.clear();
}

// A last round of its own proves, at the next open, that the round before it was synced.
void JournalImpl::Seal() {
  if (active_ == nullptr || at_ == kSegmentHeaderBytes) return;
  Waiting seal;
  seal.head = EncodeHead({}, kSealKind);
  seal.ns = NamespaceId().name();
  seal.bytes = AlignUp(seal.head.size(), kRecordAlignBytes);
  if (at_ + kPageBytes > active_->data_end()) return;
  {
    std::lock_guard lock(mutex_);
    waiting_bytes_ += seal.bytes;
    ++waiting_count_;
  }
  taken_.push_back(std::move(seal));
  Commit();
}

JournalStats JournalImpl::Stats() const {
  JournalStats stats;
  live_.AddStats(&stats);
  stats.bytes_used = live_.file_count() * options_.segment_bytes;
  stats.bytes_max = options_.bytes_max;
  stats.segments = pool_.file_count();
  stats.records = records_.load(std::memory_order_relaxed);
  stats.events = events_.load(std::memory_order_relaxed);
  stats.commits = commits_.load(std::memory_order_relaxed);
  stats.bytes_written = bytes_written_.load(std::memory_order_relaxed);
  stats.torn_bytes_dropped = torn_bytes_;
  return stats;
}

void JournalImpl::Close() {
  std::call_once(closed_, [this] {
    {
      std::lock_guard lock(mutex_);
      closing_ = true;
      work_.notify_all();
    }
    pool_.Drain();  // the committer still empties the line, as far as there is space
    committer_.join();
    pool_.Stop();
  });
}

Status CheckOptions(const JournalOptions& options) {
  constexpr uint64_t kSmallest = 64 << 10, kLargest = 1ull << 30;
  if (options.segment_bytes < kSmallest || options.segment_bytes > kLargest ||
      options.segment_bytes % kPageBytes != 0) {
    return MakeError(ErrorKind::kInvalid,
                     "segment_bytes must be a multiple of 4096 from 64 KiB to "
                     "1 GiB");
  }
  if (options.records_max < 2 * kSegmentShareOfRecords) {
    return MakeError(ErrorKind::kInvalid, "the journal's records_max must be 8 or more");
  }
  if (options.bytes_max < 2 * options.segment_bytes || options.ready_segments == 0) {
    return MakeError(ErrorKind::kInvalid,
                     "the journal's bytes_max must hold two segments, and one must be kept ready");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Journal>> OpenJournal(JournalOptions options, const Clock& clock) {
  TRY(CheckOptions(options));
  int64_t started_ns = clock.MonotonicNs();
  LockFile lock = TRY(LockFile::Take(options.directory, LockFile::Mode::kWrite));
  NameTable names;
  Replayed replayed = TRY(Replay(options.directory, names, ReplayMode::kRepair));
  TRY(CheckCovers(replayed, options.flushed_lsn, options.directory));
  LogInfo("journal.opened", {{"directory", options.directory},
                             {"last_lsn", replayed.last_lsn},
                             {"segments", replayed.segments.size()},
                             {"torn_bytes_dropped", replayed.torn_bytes},
                             {"ms", (clock.MonotonicNs() - started_ns) / 1'000'000}});
  return std::unique_ptr<Journal>(std::make_unique<JournalImpl>(
      std::move(options), std::move(lock), std::move(names), std::move(replayed)));
}

}  // namespace varve::journal
