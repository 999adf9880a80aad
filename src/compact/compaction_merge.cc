#include "compact/compaction_merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "compact/compaction_place.h"
#include "compact/compaction_plan.h"
#include "core/bytes.h"
#include "core/crash_point.h"

namespace varve::compact {
namespace {

namespace fs = std::filesystem;

const CrashPoint kFetched{"compaction.fetched"};
const CrashPoint kMerged{"compaction.merged"};

constexpr uint64_t kFetchBytes = uint64_t{8} << 20;
constexpr size_t kMd5HexBytes = 32;

struct LocalSource {
  uint32_t source = 0;
  std::string path;
  bool fetched = false;
};

std::vector<merge::FieldIds> IdsOf(const std::vector<table::Field>& fields) {
  std::vector<merge::FieldIds> out;
  for (const table::Field& field : fields) {
    out.push_back({field.name, field.id, IdsOf(field.type.fields)});
  }
  return out;
}

Error Stopped() { return MakeError(ErrorKind::kCancelled, "STOPPED", "the merge was stopped"); }

class BatchMerge {
 public:
  explicit BatchMerge(CompactionRun& run)
      : run_(run), batch_(run.state.batches[run.state.batches_done]) {}

  Result<std::string> Run() {
    TRY(Prepare());
    merge::MergeSummary summary;
    while (!batch_.empty()) {
      TRY(MakeLocal());
      if (locals_.empty()) break;
      auto merged = merge::MergeFiles(Paths(), Output(), Options());
      if (!merged.ok()) {
        TRY(LeaveOutWhoIsNamed(merged.error()));
        continue;
      }
      kMerged.Hit();
      if (TRY(LeaveOutWhoHasChanged(*merged))) continue;
      summary = std::move(*merged);
      break;
    }
    TRY(CheckRows(summary));
    TRY(AddOutputs(summary));
    for (const LocalSource& local : locals_) {
      if (local.fetched) Remove(local.path);
    }
    ++run_.state.batches_done;
    return Detail(summary);
  }

 private:
  std::string Name() const { return fmt::format("b{:04}", run_.state.batches_done); }
  std::string Output() const { return run_.directory() + "/" + Name() + ".parquet"; }

  static void Remove(const std::string& path) {
    std::error_code ignored;
    fs::remove(path, ignored);
  }

  // What an earlier attempt at this batch has left is in the way.
  Status Prepare() {
    std::error_code error;
    fs::create_directories(run_.directory(), error);
    if (error) return ErrnoError(error.value(), "make " + run_.directory());
    for (const auto& entry : fs::directory_iterator(run_.directory(), error)) {
      if (entry.path().filename().string().starts_with(Name())) Remove(entry.path().string());
    }
    return {};
  }

  std::vector<std::string> Paths() const {
    std::vector<std::string> paths;
    for (const LocalSource& local : locals_) paths.push_back(local.path);
    return paths;
  }

  merge::MergeOptions Options() {
    const CompactionSettings& settings = run_.request.settings;
    merge::MergeOptions options;
    options.keys = run_.state.sort_by;
    options.codec = settings.codec;
    options.threads = run_.options.threads;
    options.memory_bytes_max = run_.options.memory_bytes_max;
    options.file_rows_max = settings.file_rows_max;
    options.file_bytes_max = settings.file_bytes_max;
    options.unsorted = merge::Unsorted::kSort;
    options.temp_directory = run_.directory();
    options.sync = run_.options.sync;
    options.digests = true;  // the store's ETag of what it is given
    options.split_us = SplitMicros(run_.state.partition_by);
    options.field_ids = !run_.to_table();  // the sources' own are not the table's
    options.table_ids = IdsOf(run_.state.columns.fields);
    options.untyped_columns = options.rare_encodings = !run_.to_table();
    options.column_metadata = !run_.to_table();
    options.wide = run_.state.wide;
    if (run_.to_table() || options.split_us > 0) {
      options.timestamps = merge::Timestamps::kMicros;  // INT96 cannot be split
    }
    options.cancelled = [this] { return run_.step.stop.stop_requested(); };
    options.progress = [this](const merge::MergeProgress& now) {
      if (run_.options.progress) run_.options.progress(now);
      if (!run_.step.report) return;
      run_.step.report(nlohmann::ordered_json({{"batch", run_.state.batches_done + 1},
                                               {"batches", run_.state.batches.size()},
                                               {"rows", now.rows_written},
                                               {"rowsTotal", now.rows_total},
                                               {"bytesWritten", now.bytes_written}})
                           .dump());
    };
    return options;
  }

  Status MakeLocal() {
    std::vector<LocalSource> known = std::move(locals_);
    locals_.clear();
    for (const uint32_t source : std::vector<uint32_t>(batch_)) {
      const auto had = std::find_if(known.begin(), known.end(), [&](const LocalSource& local) {
        return local.source == source;
      });
      if (had != known.end()) {
        locals_.push_back(std::move(*had));
        continue;
      }
      const std::string& key = run_.request.sources[source].key;
      if (auto path = run_.store.LocalPath(key); path) {
        locals_.push_back({source, std::move(*path), false});
      } else if (auto fetched = TRY(Fetch(source)); fetched) {
        locals_.push_back({source, std::move(*fetched), true});
      }
    }
    return {};
  }

  // Nothing: it has other bytes now, and is left out.
  Result<std::optional<std::string>> Fetch(uint32_t source) {
    const SourceFile& file = run_.request.sources[source];
    std::string path = fmt::format("{}/{}-s{:05}.parquet", run_.directory(), Name(), source);
    Md5Stream digest;
    {
      std::ofstream out(path, std::ios::binary | std::ios::trunc);
      for (uint64_t at = 0; at < file.size;) {
        if (run_.step.stop.stop_requested()) return Stopped();
        store::ByteRange range;
        range.offset = at;
        range.size = std::min(kFetchBytes, file.size - at);
        auto bytes = run_.store.Get(file.key, range);
        if (!bytes.ok() && bytes.error().kind == ErrorKind::kNotFound) break;
        if (!bytes.ok()) return std::move(bytes).error();
        if (bytes->size() != range.size) {
          return MakeError(ErrorKind::kRetryable, "'" + file.key + "' was read in part only");
        }
        digest.Add(*bytes);
        out.write(bytes->data(), static_cast<std::streamsize>(bytes->size()));
        at += bytes->size();
      }
      out.flush();
      if (!out.good()) return ErrnoError(errno, "write " + path);
    }
    kFetched.Hit();
    if (!TRY(IsPinned(source))) {
      LeaveOut(source, SourceFate::kChanged, "it was replaced while it was read");
      Remove(path);
      return std::optional<std::string>();
    }
    if (file.etag.size() == kMd5HexBytes && digest.Hex() != file.etag) {
      return MakeError(ErrorKind::kRetryable, "'" + file.key + "' was read wrong");
    }
    return std::optional<std::string>(std::move(path));
  }

  Result<bool> IsPinned(uint32_t source) {
    return TRY(compact::IsPinned(run_.store, run_.request.sources[source])).value_or(false);
  }

  void LeaveOut(uint32_t source, SourceFate state, std::string why) {
    run_.state.sources[source].state = state;
    run_.state.sources[source].why = std::move(why);
    std::erase(batch_, source);
    std::erase_if(locals_, [&](const LocalSource& local) { return local.source == source; });
  }

  // The last file that the error names; the error itself if it names none, or is of another sort.
  Status LeaveOutWhoIsNamed(const Error& error) {
    if (error.kind != ErrorKind::kCorrupt && error.kind != ErrorKind::kInvalid) return error;
    if (error.kind == ErrorKind::kCorrupt && !tried_again_) {
      tried_again_ = true;  // a file that was replaced under the merge looks damaged, too
      if (TRY(LeaveOutWhoHasChanged({}))) return {};
    }
    const LocalSource* named = nullptr;
    size_t at = 0;
    for (const LocalSource& local : locals_) {
      const size_t found = error.message.rfind(local.path);
      if (found == std::string::npos || (named != nullptr && found < at)) continue;
      named = &local;
      at = found;
    }
    if (named == nullptr) return error;
    const uint32_t source = named->source;
    std::string why = error.message;  // without this machine's paths
    for (const LocalSource& local : locals_) {
      const std::string& key = run_.request.sources[local.source].key;
      for (size_t i = 0; (i = why.find(local.path, i)) != std::string::npos; i += key.size()) {
        why.replace(i, local.path.size(), key);
      }
    }
    LeaveOut(source, SourceFate::kQuarantined, std::move(why));
    return {};
  }

  Result<bool> LeaveOutWhoHasChanged(const merge::MergeSummary& merged) {
    bool any = false;
    for (const uint32_t source : std::vector<uint32_t>(batch_)) {
      if (TRY(IsPinned(source))) continue;
      LeaveOut(source, SourceFate::kChanged, "it was replaced while it was read");
      any = true;
    }
    if (!any) return false;
    for (const merge::MergedFile& file : merged.files) Remove(file.path);
    return true;
  }

  Status CheckRows(const merge::MergeSummary& summary) {
    uint64_t planned = 0;
    for (const uint32_t source : batch_) planned += run_.state.sources[source].rows;
    uint64_t made = 0;
    for (const merge::MergedFile& file : summary.files) made += file.rows;
    if (planned == summary.rows && planned == made) return {};
    return MakeError(ErrorKind::kRetryable, "ROWS_DIFFER",
                     fmt::format("the sources have {} rows by their footers, {} were read and {} "
                                 "written",
                                 planned, summary.rows, made));
  }

  Status AddOutputs(const merge::MergeSummary& summary) {
    for (const merge::MergedFile& file : summary.files) {
      if (file.rows == 0) {
        Remove(file.path);
        continue;
      }
      auto footer = table::ReadFileFooter(ReaderOfFile(file.path), file.bytes);
      if (!footer.ok()) return std::move(footer).error().Context("what was merged");
      CompactionOutput output;
      output.file = fs::path(file.path).filename().string();
      output.bytes = file.bytes;
      output.rows = file.rows;
      output.digest = file.digest;
      output.key = TRY(OutputKey(run_, *footer, run_.state.outputs.size()));
      run_.state.outputs.push_back(std::move(output));
    }
    return {};
  }

  std::string Detail(const merge::MergeSummary& summary) const {
    return nlohmann::ordered_json({{"batch", run_.state.batches_done},
                                   {"batches", run_.state.batches.size()},
                                   {"files", summary.files.size()},
                                   {"rows", summary.rows},
                                   {"bytesRead", summary.bytes_read},
                                   {"bytesWritten", summary.bytes_written},
                                   {"filesSorted", summary.files_sorted}})
        .dump();
  }

  CompactionRun& run_;
  std::vector<uint32_t>& batch_;
  std::vector<LocalSource> locals_;
  bool tried_again_ = false;
};

}  // namespace

Result<std::string> MergeNextBatch(CompactionRun& run) { return BatchMerge(run).Run(); }

void RemoveWorkFiles(const CompactionRun& run) {
  std::error_code ignored;
  fs::remove_all(run.directory(), ignored);
}

}  // namespace varve::compact
