#include "compact/compaction_run.h"

#include <algorithm>
#include <atomic>
#include <fstream>
#include <mutex>
#include <thread>
#include <vector>

namespace varve::compact {
namespace {

constexpr size_t kThreadsMax = 4;

}  // namespace

Result<std::optional<bool>> IsPinned(store::ObjectStore& store, const SourceFile& source) {
  auto meta = store.Head(source.key);
  if (!meta.ok() && meta.error().kind == ErrorKind::kNotFound) meta = store.Head(source.key);
  if (!meta.ok() && meta.error().kind == ErrorKind::kNotFound) return std::optional<bool>();
  if (!meta.ok()) return std::move(meta).error();
  return std::optional<bool>(meta->etag == source.etag && meta->size == source.size);
}

table::ReadRange ReaderOfFile(const std::string& path) {
  return [path](uint64_t offset, uint64_t size) -> Result<std::string> {
    std::ifstream file(path, std::ios::binary);
    std::string bytes(size, '\0');
    file.seekg(static_cast<std::streamoff>(offset));
    file.read(bytes.data(), static_cast<std::streamsize>(size));
    if (file.good()) return bytes;
    return MakeError(ErrorKind::kCorrupt, "'" + path + "' is shorter than it was");
  };
}

Status ForEach(const CompactionRun& run, size_t count, const std::function<Status(size_t)>& act) {
  std::atomic<size_t> next = 0;
  std::atomic<bool> ended = false;
  std::mutex mutex;
  Status failed;
  const auto work = [&] {
    for (size_t i = next++; i < count && !ended; i = next++) {
      if (run.step.stop.stop_requested()) return;
      const Status done = act(i);
      if (done.ok()) continue;
      const std::lock_guard lock(mutex);
      if (failed.ok()) failed = done;
      ended = true;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (size_t i = 1; i < std::min(count, kThreadsMax); ++i) threads.emplace_back(work);
    work();
  }
  TRY(failed);
  if (run.step.stop.stop_requested()) return MakeError(ErrorKind::kCancelled, "stopped");
  return {};
}

Result<bool> HasTable(CompactionRun& run) {
  return TRY(run.tables.FormatsOf(run.state.table)).any();
}

}  // namespace varve::compact
