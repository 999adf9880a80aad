#include "journal/segment_pool.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <utility>

#include "core/clock.h"
#include "core/crash_point.h"
#include "core/log.h"
#include "fmt/format.h"

namespace varve::journal {
namespace {

const CrashPoint kCreatedTemp{"journal.segment_created"};
const CrashPoint kRenamedNew{"journal.segment_named"};
const CrashPoint kRecycleRenamed{"journal.recycle_renamed"};
const CrashPoint kRecycleReady{"journal.recycle_ready"};
const CrashPoint kUnlinked{"journal.segment_unlinked"};

constexpr uint64_t kObjectsShareMore = 4;  // objects may take this part more than their rows did
constexpr auto kRetryEvery = std::chrono::milliseconds(200);

}  // namespace

SegmentPool::SegmentPool(const JournalOptions& options, uint64_t next_epoch, uint64_t live_files)
    : options_(options), next_epoch_(next_epoch), file_count_(live_files) {
  thread_ = std::thread([this] { Run(); });
}

SegmentPool::~SegmentPool() { Stop(); }

std::shared_ptr<Segment> SegmentPool::Take() {
  std::unique_lock lock(mutex_);
  ready_changed_.wait(lock, [&] {
    return stopping_ || !ready_.empty() || (draining_ && block() != PoolBlock::kNone);
  });
  if (ready_.empty()) return nullptr;
  std::shared_ptr<Segment> segment = std::move(ready_.front());
  ready_.pop_front();
  ready_count_.store(static_cast<uint32_t>(ready_.size()));
  work_changed_.notify_all();
  return segment;
}

void SegmentPool::Recycle(std::vector<std::shared_ptr<Segment>> released) {
  if (released.empty()) return;
  std::lock_guard lock(mutex_);
  for (std::shared_ptr<Segment>& segment : released) released_.push_back(std::move(segment));
  work_changed_.notify_all();
}

void SegmentPool::Drain() {
  std::lock_guard lock(mutex_);
  draining_ = true;
  ready_changed_.notify_all();
}

void SegmentPool::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    work_changed_.notify_all();
    ready_changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

bool SegmentPool::HasWork() const {
  return !released_.empty() || ready_.size() < options_.ready_segments;
}

void SegmentPool::SetBlock(PoolBlock block) {
  block_.store(block, std::memory_order_relaxed);
  if (block != PoolBlock::kNone) ready_changed_.notify_all();
}

void SegmentPool::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!HasWork()) {
      SetBlock(PoolBlock::kNone);
      work_changed_.wait(lock);
      continue;
    }
    bool at_limit = (file_count_.load() + 1) * options_.segment_bytes > options_.bytes_max;
    if (released_.empty() && at_limit) {
      SetBlock(PoolBlock::kJournalFull);
      work_changed_.wait(lock);
      continue;
    }
    Status done = Step(lock);
    if (done.ok()) {
      SetBlock(PoolBlock::kNone);
      continue;
    }
    bool full = done.error().kind == ErrorKind::kExhausted;
    PoolBlock reason = full ? PoolBlock::kDiskFull : PoolBlock::kFailing;
    if (block() != reason) LogError("journal.prepare_failed", {{"error", done.error().message}});
    SetBlock(reason);
    work_changed_.wait_for(lock, kRetryEvery);
  }
}

// One file made, reused or removed; the lock is given up meanwhile.
Status SegmentPool::Step(std::unique_lock<std::mutex>& lock) {
  std::shared_ptr<Segment> old;
  if (!released_.empty()) {
    old = std::move(released_.front());
    released_.pop_front();
  }
  bool reuse = old != nullptr && ready_.size() < options_.spare_segments &&
               old->identity().bytes == options_.segment_bytes && old->IsUnpinned() &&
               LeavesRoom(0).ok();
  lock.unlock();
  Result<std::shared_ptr<Segment>> made = std::shared_ptr<Segment>();
  if (reuse) {
    made = Reuse(std::move(old));
  } else if (old == nullptr) {
    made = Create();
  } else {
    if (unlink(old->path().c_str()) != 0 && errno != ENOENT) {
      LogWarn("journal.unlink_failed", {{"path", old->path()}, {"errno", errno}});
    }
    kUnlinked.Hit();
    file_count_.fetch_sub(1);
    old.reset();
    Status synced = SyncDirectory(options_.directory);  // else it could come back behind a gap
    if (!synced.ok()) made = std::move(synced).error();
  }
  lock.lock();
  if (!made.ok()) return std::move(made).error();
  if (*made != nullptr) {
    ready_.push_back(std::move(*made));
    ready_count_.store(static_cast<uint32_t>(ready_.size()));
    ready_changed_.notify_all();
  }
  return {};
}

// Whether objects could hold what the journal does, after it has taken so much more of the disk.
Status SegmentPool::LeavesRoom(uint64_t more_bytes) const {
  struct statvfs disk {};
  if (statvfs(options_.directory.c_str(), &disk) != 0) {
    return ErrnoError(errno, "free space of journal directory " + options_.directory);
  }
  const uint64_t free_bytes = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
  const uint64_t held_bytes = file_count_.load() * options_.segment_bytes;
  const uint64_t left_bytes = held_bytes + held_bytes / kObjectsShareMore;
  if (free_bytes >= more_bytes + left_bytes) return {};
  return MakeError(ErrorKind::kExhausted, "DISK_FULL",
                   fmt::format("the disk of {} has {} bytes free; {} of them are for the objects "
                               "that the journal's rows become, and a segment takes {}: no space "
                               "left on the disk for more",
                               options_.directory, free_bytes, left_bytes, more_bytes));
}

SegmentIdentity SegmentPool::NextIdentity() {
  auto nonce = static_cast<uint32_t>(SystemRandom().Next());
  return {next_epoch_, nonce, options_.segment_bytes};
}

Result<std::shared_ptr<Segment>> SegmentPool::Create() {
  TRY(LeavesRoom(options_.segment_bytes));
  SegmentIdentity identity = NextIdentity();
  std::string temp = options_.directory + "/preparing.tmp";
  std::string path = SegmentPath(options_.directory, identity.epoch);
  auto remove_temp = [&](Error error) {
    unlink(temp.c_str());
    return error;
  };
  Result<MappedFile> file = MappedFile::CreateZeroed(temp, identity.bytes);
  if (!file.ok()) return remove_temp(std::move(file).error());
  Status headed = file->WriteDurably(EncodeSegmentHeader(identity), 0);
  if (!headed.ok()) return remove_temp(std::move(headed).error());
  kCreatedTemp.Hit();
  if (rename(temp.c_str(), path.c_str()) != 0) {
    return remove_temp(ErrnoError(errno, "name journal segment " + path));
  }
  kRenamedNew.Hit();
  ++next_epoch_;  // the name is taken, whatever comes
  file_count_.fetch_add(1);
  TRY(SyncDirectory(options_.directory));
  return std::make_shared<Segment>(path, std::move(*file), identity);
}

Result<std::shared_ptr<Segment>> SegmentPool::Reuse(std::shared_ptr<Segment> released) {
  SegmentIdentity identity = NextIdentity();
  std::string path = SegmentPath(options_.directory, identity.epoch);
  std::string old_path = released->path();
  MappedFile file = std::move(*released).TakeFile();
  released.reset();
  ++next_epoch_;
  if (rename(old_path.c_str(), path.c_str()) != 0) {
    unlink(old_path.c_str());
    file_count_.fetch_sub(1);
    return ErrnoError(errno, "rename journal segment " + old_path);
  }
  kRecycleRenamed.Hit();
  Status synced = SyncDirectory(options_.directory);
  if (synced.ok()) synced = file.WriteDurably(EncodeSegmentHeader(identity), 0);
  if (!synced.ok()) {
    unlink(path.c_str());
    file_count_.fetch_sub(1);
    return std::move(synced).error();
  }
  kRecycleReady.Hit();
  return std::make_shared<Segment>(path, std::move(file), identity);
}

}  // namespace varve::journal
