#include "catalog/file_footers.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

namespace varve::catalog {
namespace {

constexpr int kReadsMax = 5;
constexpr size_t kThreadsMax = 8;

}  // namespace

Result<table::FileFooter> ReadFooter(store::ObjectStore& store, const std::string& key,
                                     uint64_t bytes) {
  const auto read = [&](uint64_t offset, uint64_t size) -> Result<std::string> {
    store::ByteRange range;
    range.offset = offset;
    range.size = size;
    std::string last = TRY(store.Get(key, range));
    for (int i = 1; i < kReadsMax; ++i) {
      std::string again = TRY(store.Get(key, range));
      if (again == last) return last;
      last = std::move(again);
    }
    return MakeError(ErrorKind::kRetryable, "'" + key + "' is read differently each time");
  };
  auto footer = table::ReadFileFooter(read, bytes);
  if (!footer.ok()) return std::move(footer).error().Context("'" + key + "'");
  return footer;
}

Status ForEachFooter(store::ObjectStore& store, const std::vector<StoredFile>& files,
                     const std::function<bool()>& stopped,
                     const std::function<Status(size_t, table::FileFooter&&)>& act) {
  std::atomic<size_t> next = 0;
  std::atomic<bool> ended = false;
  std::mutex mutex;
  Status failed;  // guarded by mutex, as act is
  const auto one = [&](size_t i) -> Status {
    if (stopped && stopped()) return MakeError(ErrorKind::kCancelled, "stopped");
    auto footer = ReadFooter(store, files[i].key, files[i].bytes);
    if (!footer.ok() && footer.error().kind == ErrorKind::kNotFound) {
      return MakeError(ErrorKind::kInvalid, "FILE_MISSING", footer.error().message);
    }
    if (!footer.ok()) return std::move(footer).error();
    const std::lock_guard lock(mutex);
    return ended ? Status() : act(i, std::move(*footer));
  };
  const auto work = [&] {
    for (size_t i = next++; i < files.size() && !ended; i = next++) {
      Status done = one(i);
      if (done.ok()) continue;
      const std::lock_guard lock(mutex);
      if (failed.ok()) failed = std::move(done);
      ended = true;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (size_t i = 1; i < std::min(files.size(), kThreadsMax); ++i) threads.emplace_back(work);
    work();
  }
  return failed;
}

}  // namespace varve::catalog
