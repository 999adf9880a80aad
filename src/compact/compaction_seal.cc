#include "compact/compaction_seal.h"

#include <atomic>
#include <filesystem>
#include <set>

#include "catalog/snapshot_files.h"
#include "compact/compaction_merge.h"
#include "core/crash_point.h"

namespace varve::compact {
namespace {

namespace fs = std::filesystem;

const CrashPoint kBeforePut{"compaction.before_put"};
const CrashPoint kPut{"compaction.put"};

Result<Sealed> SealOne(CompactionRun& run, CompactionOutput& output) {
  if (!output.etag.empty()) return Sealed::kDone;
  const std::string path = run.directory() + "/" + output.file;
  std::error_code ignored;
  const bool here = fs::file_size(path, ignored) == output.bytes && !ignored;
  if (!here) {
    auto there = run.store.Head(output.key);
    if (!there.ok() && there.error().kind != ErrorKind::kNotFound) return there.error();
    if (!there.ok() || there->size != output.bytes) return Sealed::kLost;
    output.etag = there->etag;
    return Sealed::kDone;
  }
  store::PutOptions options;
  options.content_type = "application/vnd.apache.parquet";
  options.digest = output.digest;
  kBeforePut.Hit();
  output.etag = TRY(run.store.PutFile(output.key, path, options)).etag;
  kPut.Hit();
  return Sealed::kDone;
}

}  // namespace

Result<Sealed> SealOutputs(CompactionRun& run) {
  std::atomic<bool> lost = false;
  TRY(ForEach(run, run.state.outputs.size(), [&](size_t i) -> Status {
    if (TRY(SealOne(run, run.state.outputs[i])) == Sealed::kLost) lost = true;
    return {};
  }));
  if (!lost) return Sealed::kDone;
  TRY(RemoveOutputs(run));
  return Sealed::kLost;
}

Status FindRemoved(CompactionRun& run) {
  run.state.removed.clear();
  if (!run.to_table() || !TRY(HasTable(run))) return {};
  const catalog::SnapshotFiles now = TRY(catalog::FilesAsOf(run.tables, run.state.table, {}));
  std::set<std::string> live;
  for (const table::DataFile& file : now.files) live.insert(file.path);
  for (uint32_t i = 0; i < run.state.sources.size(); ++i) {
    if (run.state.sources[i].state != SourceFate::kTaken) continue;
    if (live.contains(run.request.sources[i].key)) run.state.removed.push_back(i);
  }
  return {};
}

Status RemoveOutputs(CompactionRun& run) {
  for (const CompactionOutput& output : run.state.outputs) TRY(run.store.Delete(output.key));
  RemoveWorkFiles(run);
  run.state.outputs.clear();
  run.state.batches_done = 0;
  return {};
}

}  // namespace varve::compact
