#include "ingest/flusher.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "core/crash_point.h"
#include "core/log.h"
#include "fmt/format.h"
#include "journal/thread_priority.h"

namespace varve::ingest {
namespace {

const CrashPoint kAfterBegin{"flush.after_begin"};
const CrashPoint kBeforeEnd{"flush.before_end"};
const CrashPoint kAfterEnd{"flush.after_end"};

constexpr uint32_t kEventKinds = 1u << static_cast<int>(record::RecordKind::kEvents) |
                                 1u << static_cast<int>(record::RecordKind::kWebhook);
constexpr uint32_t kTailKinds = 1u << static_cast<int>(record::RecordKind::kTail);
constexpr uint64_t kHeldBackUnits = 4;  // as many events_flush_bytes may one waiting row hold back
constexpr journal::Lsn kReadWindow = 2'048;  // records looked at in one go
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int64_t kHourNs = 3'600'000'000'000;

bool IsTail(std::string_view stream) { return stream != kEventStream; }
uint32_t KindsOf(std::string_view stream) { return IsTail(stream) ? kTailKinds : kEventKinds; }

std::string StreamOf(record::RecordKind kind, std::string_view ns) {
  return kind == record::RecordKind::kTail ? TailStream(ns) : std::string(kEventStream);
}

uint64_t BytesOf(const journal::Record& record) {
  return record.body.size() + record.events.size() * sizeof(record::EventRef);
}

// LSNs are never given twice, or new records would pass for done ones.
Status CheckJournal(const FlushState& loaded, const journal::Journal& journal) {
  for (const auto& [name, progress] : loaded.streams) {
    if (progress.done_lsn <= journal.last_lsn()) continue;
    return MakeError(ErrorKind::kCorrupt, "JOURNAL_CORRUPT",
                     fmt::format("the journal ends at record {}, but objects hold record {} of "
                                 "stream {}: the journal was removed, or is older than the state. "
                                 "Nothing has been changed; see `varve doctor`",
                                 journal.last_lsn(), progress.done_lsn, name));
  }
  return {};
}

}  // namespace

Flusher::Flusher(FlusherOptions options, Instance instance, journal::Journal& journal,
                 store::ObjectStore& store, const Clock& clock, FlushUnits units)
    : options_(std::move(options)),
      instance_(std::move(instance)),
      journal_(journal),
      store_(store),
      clock_(clock),
      units_(units) {}

Result<std::unique_ptr<Flusher>> Flusher::Open(FlusherOptions options, Instance instance,
                                               journal::Journal& journal, store::ObjectStore& store,
                                               state::Database& database, const Clock& clock) {
  FlushUnits units = TRY(FlushUnits::Open(database));
  std::unique_ptr<Flusher> flusher(
      new Flusher(std::move(options), std::move(instance), journal, store, clock, units));
  TRY(flusher->Recover());
  return flusher;
}

Flusher::~Flusher() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    stop_deadline_ns_ = 0;  // what waits stays in the journal
  }
  work_.notify_all();
  thread_.join();
}

Status Flusher::Recover() {
  FlushState loaded = TRY(units_.Load());
  TRY(CheckJournal(loaded, journal_));
  last_unit_ = loaded.last_unit;
  for (const auto& [name, progress] : loaded.streams) {
    Stream& stream = streams_[name];
    stream.done_lsn = stream.last_lsn = progress.done_lsn;
    stream.raw_seq_done = progress.raw_seq_done;
  }
  for (const FlushUnit& unit : loaded.open) open_units_.insert(unit.id);
  recovered_ = std::move(loaded.open);
  journal::HotRecords held =
      journal_.Read(loaded.released, journal_.last_lsn(), kEventKinds | kTailKinds);
  for (const journal::Record& record : held.records) {
    auto stream = streams_.find(StreamOf(record.kind, record.ns));
    if (stream != streams_.end() && record.lsn <= stream->second.done_lsn) continue;
    NoteAppended(record.kind, record.ns, record.lsn, BytesOf(record), record.events.size());
  }
  noted_lsn_ = std::max(noted_lsn_, journal_.last_lsn());
  return {};
}

void Flusher::SetBeforeEventsEnd(BeforeEventsEnd before_events_end) {
  CHECK(!thread_.joinable());
  before_events_end_ = std::move(before_events_end);
}

void Flusher::SetOnEventsDone(std::function<void(journal::Lsn)> on_events_done) {
  CHECK(!thread_.joinable());
  on_events_done_ = std::move(on_events_done);
}

void Flusher::Start() {
  thread_ = std::thread([this] {
    journal::PreferOthers();
    Loop();
  });
}

Status Flusher::Stop() {
  if (!thread_.joinable()) return {};
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    stop_deadline_ns_ =
        clock_.MonotonicNs() + static_cast<int64_t>(options_.stop_ms_max) * 1'000'000;
  }
  work_.notify_all();
  thread_.join();
  return stopped_with_;
}

void Flusher::NoteAppended(record::RecordKind kind, std::string_view ns, journal::Lsn lsn,
                           uint64_t bytes, uint64_t rows) {
  bool due = false;
  {
    std::lock_guard lock(mutex_);
    std::string name = StreamOf(kind, ns);
    Stream& stream = streams_[name];
    const bool was_idle = !stream.waits();
    const bool was_due = !was_idle && DueInNs(name, stream) <= 0;
    if (was_idle) {
      stream.first_lsn = lsn;
      stream.oldest_ns = clock_.MonotonicNs();
      stream.oldest_at_bytes = noted_bytes_;
    }
    stream.last_lsn = lsn;
    noted_bytes_ += bytes;
    stream.waiting_bytes += bytes;
    stream.waiting_rows += rows;
    noted_lsn_ = std::max(noted_lsn_, lsn);
    due = was_idle || (!was_due && DueInNs(name, stream) <= 0);
  }
  if (due) work_.notify_one();
}

void Flusher::WhenDone(record::RecordKind kind, std::string_view ns, journal::Lsn lsn,
                       std::function<void()> callback) {
  {
    std::lock_guard lock(mutex_);
    std::string name = StreamOf(kind, ns);
    Stream& stream = streams_[name];
    if (stream.done_lsn < lsn) {
      stream.asked_lsn = std::max(stream.asked_lsn, lsn);
      waiters_.push_back({std::move(name), lsn, std::move(callback)});
      callback = nullptr;
    }
  }
  if (callback) return callback();
  work_.notify_one();
}

void Flusher::FlushTail(const NamespaceId& ns) {
  {
    std::lock_guard lock(mutex_);
    auto stream = streams_.find(TailStream(ns.name()));
    if (stream == streams_.end() || !stream->second.waits()) return;
    stream->second.asked_lsn = stream->second.last_lsn;
  }
  work_.notify_one();
}

journal::Lsn Flusher::EventsDone() const {
  std::lock_guard lock(mutex_);
  auto events = streams_.find(kEventStream);
  return events == streams_.end() ? 0 : events->second.done_lsn;
}

// The records are read outside the lock, so that no sender waits for a reader. If space was given
// back meanwhile, some of them may be gone: then the view is taken anew, at last under the lock.
FlushView Flusher::CurrentView(const NamespaceId& ns) const {
  constexpr int kTriesOutsideLock = 3;
  for (int attempt = 0;; ++attempt) {
    FlushView view;
    view.instance = instance_.tag;
    view.do_id = instance_.do_id;
    Lock lock(mutex_);
    view.last_unit = last_unit_;
    view.open_units = open_units_;
    auto progress = [&](std::string_view name) {
      auto found = streams_.find(name);
      return found == streams_.end() ? Stream{} : found->second;
    };
    const Stream events = progress(kEventStream);
    const Stream tail = progress(TailStream(ns.name()));
    view.raw_seq_done = tail.raw_seq_done;
    const journal::Lsn last = journal_.last_lsn();
    const journal::Lsn first = journal_.first_lsn();
    if (attempt < kTriesOutsideLock) lock.unlock();
    view.hot = journal_.Read(std::max(std::min(events.done_lsn, tail.done_lsn), first - 1), last,
                             kEventKinds | kTailKinds);
    if (attempt < kTriesOutsideLock && journal_.first_lsn() != first) continue;
    std::erase_if(view.hot.records, [&](const journal::Record& record) {
      bool is_tail = record.kind == record::RecordKind::kTail;
      return record.ns != ns.name() || record.lsn <= (is_tail ? tail.done_lsn : events.done_lsn);
    });
    return view;
  }
}

bool Flusher::IsRawFileDone(std::string_view key) const {
  constexpr std::string_view kTenants = "ns/";
  std::string_view ns = "default";
  if (key.starts_with(kTenants)) {
    ns = key.substr(kTenants.size());
    ns = ns.substr(0, ns.find('/'));
  }
  FlushView view;
  view.do_id = instance_.do_id;
  std::lock_guard lock(mutex_);
  auto stream = streams_.find(TailStream(ns));
  if (stream != streams_.end()) view.raw_seq_done = stream->second.raw_seq_done;
  return view.SeesRawFile(key);
}

FlusherStats Flusher::stats() const {
  std::lock_guard lock(mutex_);
  FlusherStats stats = stats_;
  int64_t oldest_ns = kNever;
  for (const auto& [name, stream] : streams_) {
    if (!stream.waits()) continue;
    stats.waiting_rows += stream.waiting_rows;
    stats.waiting_bytes += stream.waiting_bytes;
    oldest_ns = std::min(oldest_ns, stream.oldest_ns);
  }
  if (oldest_ns != kNever) {
    stats.oldest_waiting_ms =
        clock_.NowMs() - std::max<int64_t>(0, clock_.MonotonicNs() - oldest_ns) / 1'000'000;
  }
  return stats;
}

int64_t Flusher::DueInNs(const std::string& name, const Stream& stream) const {
  if (stream.asked_lsn > stream.done_lsn || stopping_) return 0;
  bool tail = IsTail(name);
  if (stream.waiting_bytes >= options_.events_flush_bytes) return 0;
  if (noted_bytes_ - stream.oldest_at_bytes >= kHeldBackUnits * options_.events_flush_bytes) {
    return 0;
  }
  if (tail && stream.waiting_rows >= options_.raw_events_batch_size) return 0;
  uint64_t wait_ms = tail ? options_.flush_interval_ms : options_.events_flush_ms;
  return stream.oldest_ns + static_cast<int64_t>(wait_ms) * 1'000'000 - clock_.MonotonicNs();
}

const std::string* Flusher::NextDue(int64_t* wait_ns) const {
  const std::string* best = nullptr;
  *wait_ns = kNever;
  for (const auto& [name, stream] : streams_) {
    if (!stream.waits()) continue;
    int64_t due_ns = DueInNs(name, stream);
    if (due_ns >= *wait_ns) continue;
    *wait_ns = due_ns;
    best = &name;
  }
  return best;
}

void Flusher::Loop() {
  uint64_t delay_ms = 100;
  while (!recovered_.empty()) {
    const FlushUnit unit = recovered_.front();
    journal::HotRecords read = ReadStream(unit.stream, unit.after, unit.upto, /*one_unit=*/false);
    Status done = FinishUnit(unit, read.records);
    if (!done.ok()) return;
    recovered_.erase(recovered_.begin());
  }
  Lock lock(mutex_);
  while (WaitForWork(lock)) {
    int64_t wait_ns = 0;
    const std::string name = *NextDue(&wait_ns);
    lock.unlock();
    Status done = FlushStream(name);
    if (done.ok()) ExpireBatches();
    lock.lock();
    if (done.ok()) {
      delay_ms = 100;
      continue;
    }
    lock.unlock();
    Backoff(done.error(), &delay_ms);
    lock.lock();
    if (stopping_ && clock_.MonotonicNs() >= stop_deadline_ns_) {
      stopped_with_ = std::move(done);
      return;
    }
  }
}

// False: it is time to end, and nothing waits.
bool Flusher::WaitForWork(Lock& lock) {
  while (true) {
    int64_t wait_ns = 0;
    const std::string* due = NextDue(&wait_ns);
    if (due != nullptr && wait_ns <= 0) return !(stopping_ && stop_deadline_ns_ == 0);
    if (stopping_) return false;
    if (due == nullptr) {
      work_.wait(lock);
    } else {
      work_.wait_for(lock, std::chrono::nanoseconds(wait_ns));
    }
  }
}

// In windows, so that a long backlog is not brought into memory for one unit of it.
journal::HotRecords Flusher::ReadStream(const std::string& stream, journal::Lsn after,
                                        journal::Lsn upto, bool one_unit) const {
  auto pins = std::make_shared<std::vector<std::shared_ptr<const void>>>();
  journal::HotRecords chosen;
  chosen.pins = pins;
  uint64_t bytes = 0;
  Partitions partitions;
  while (after < upto) {
    const journal::Lsn end = std::min(upto, after + kReadWindow);
    journal::HotRecords window = journal_.Read(after, end, KindsOf(stream));
    pins->push_back(window.pins);
    for (const journal::Record& record : window.records) {
      if (StreamOf(record.kind, record.ns) != stream) continue;
      if (one_unit) {
        bytes += BytesOf(record);
        if (!IsTail(stream)) AddPartitions(record, &partitions);
        bool enough =
            bytes > options_.unit_bytes_max || partitions.size() > options_.unit_files_max;
        if (enough && !chosen.records.empty()) return chosen;
      }
      chosen.records.push_back(record);
    }
    after = end;
  }
  return chosen;
}

Status Flusher::FlushStream(const std::string& name) {
  FlushUnit unit;
  unit.stream = name;
  journal::Lsn upto = 0;
  {
    std::lock_guard lock(mutex_);
    Stream& stream = streams_[name];
    unit.after = stream.first_lsn - 1;
    upto = stream.last_lsn;
    unit.raw_seq = IsTail(name) ? stream.raw_seq_done + 1 : 0;
  }
  journal::HotRecords read = ReadStream(name, unit.after, upto, /*one_unit=*/true);
  CHECK(!read.records.empty());
  unit.upto = read.records.back().lsn;
  unit.created_ms = clock_.NowMs();
  unit.id = TRY(units_.Begin(unit));
  {
    std::lock_guard lock(mutex_);
    open_units_.insert(unit.id);
    last_unit_ = unit.id;
  }
  kAfterBegin.Hit();
  return FinishUnit(unit, read.records);
}

// Tries until the unit is done; an error only when the process stops and the store still refuses.
Status Flusher::FinishUnit(const FlushUnit& unit, const std::vector<journal::Record>& records) {
  uint64_t delay_ms = 100;
  while (true) {
    Status done = DoUnit(unit, records);
    if (done.ok()) return done;
    Backoff(done.error(), &delay_ms);
    std::lock_guard lock(mutex_);
    if (stopping_ && clock_.MonotonicNs() >= stop_deadline_ns_) {
      stopped_with_ = done;
      stop_deadline_ns_ = 0;
      return done;
    }
  }
}

Status Flusher::DoUnit(const FlushUnit& unit, const std::vector<journal::Record>& records) {
  FlushedObjects objects;
  if (!records.empty()) {
    objects = TRY(IsTail(unit.stream)
                      ? PutRawObject(store_, instance_, unit, options_.raw_events_prefix, records)
                      : PutEventObjects(store_, instance_, unit, records));
  }
  if (before_events_end_ && !IsTail(unit.stream)) TRY(before_events_end_(records));
  std::vector<SpentBatch> spent;
  for (const journal::Record& record : records) {
    if (record.batch_id.empty()) continue;
    spent.push_back({std::string(record.ns), std::string(record.batch_id), record.events.size(),
                     record.received_ms + static_cast<int64_t>(options_.dedup_window_ms)});
  }
  kBeforeEnd.Hit();
  const journal::Lsn releasable = ReleasableAfter(unit);
  TRY(units_.End(unit, spent, releasable));
  kAfterEnd.Hit();
  MarkDone(unit, records, objects);
  if (on_events_done_ && !IsTail(unit.stream)) on_events_done_(unit.upto);
  TellWaiters(unit);
  journal_.Release(releasable);  // exactly what the state says: a journal may not start beyond it
  return {};
}

// Every record up to there is in objects once the unit is done.
journal::Lsn Flusher::ReleasableAfter(const FlushUnit& unit) const {
  std::lock_guard lock(mutex_);
  journal::Lsn upto = noted_lsn_;
  for (const auto& [name, stream] : streams_) {
    bool this_one = name == unit.stream;
    if (stream.last_lsn <= (this_one ? unit.upto : stream.done_lsn)) continue;
    upto = std::min(upto, this_one ? unit.upto : stream.first_lsn - 1);
  }
  return upto;
}

void Flusher::MarkDone(const FlushUnit& unit, const std::vector<journal::Record>& records,
                       const FlushedObjects& objects) {
  std::lock_guard lock(mutex_);
  Stream& stream = streams_[unit.stream];
  stream.done_lsn = unit.upto;
  stream.first_lsn = unit.upto + 1;
  stream.raw_seq_done = unit.raw_seq;
  for (const journal::Record& record : records) {
    stream.waiting_bytes -= std::min(stream.waiting_bytes, BytesOf(record));
    stream.waiting_rows -= std::min<uint64_t>(stream.waiting_rows, record.events.size());
  }
  stream.oldest_ns = clock_.MonotonicNs();
  stream.oldest_at_bytes = noted_bytes_ - stream.waiting_bytes;
  open_units_.erase(unit.id);
  stats_.units += 1;
  stats_.files += objects.files;
  stats_.rows += objects.rows;
  stats_.bytes += objects.bytes;
  stats_.last_error.clear();
}

void Flusher::TellWaiters(const FlushUnit& unit) {
  std::vector<Waiter> told;
  {
    std::lock_guard lock(mutex_);
    auto is_told = [&](const Waiter& w) { return w.stream == unit.stream && w.lsn <= unit.upto; };
    auto rest = std::stable_partition(waiters_.begin(), waiters_.end(),
                                      [&](const Waiter& w) { return !is_told(w); });
    std::move(rest, waiters_.end(), std::back_inserter(told));
    waiters_.erase(rest, waiters_.end());
  }
  for (Waiter& waiter : told) waiter.callback();
}

void Flusher::Backoff(const Error& error, uint64_t* delay_ms) {
  LogError("flush_failed",
           {{"error", error.message}, {"code", error.code}, {"retry_ms", *delay_ms}});
  Lock lock(mutex_);
  stats_.failures += 1;
  stats_.last_error = error.message;
  bool was_stopping = stopping_;
  work_.wait_for(lock, std::chrono::milliseconds(*delay_ms),
                 [&] { return stopping_ && !was_stopping; });
  *delay_ms = std::min(*delay_ms * 2, options_.retry_ms_max);
}

void Flusher::ExpireBatches() {
  if (expired_ns_ != 0 && clock_.MonotonicNs() - expired_ns_ < kHourNs) return;
  expired_ns_ = clock_.MonotonicNs();
  Status expired = units_.ExpireBatches(clock_.NowMs());
  if (!expired.ok()) LogWarn("dedup_expiry_failed", {{"error", expired.error().message}});
}

}  // namespace varve::ingest
