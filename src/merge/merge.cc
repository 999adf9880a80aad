#include "merge/merge.h"

#include <malloc.h>
#include <parquet/schema.h>
#include <sys/resource.h>

#include <algorithm>
#include <optional>
#include <thread>

#include "merge/arrow_merge.h"
#include "merge/merge_run.h"
#include "merge/output_files.h"
#include "merge/passes.h"
#include "merge/sort_file.h"
#include "merge/temp_files.h"
#include "parquet/codec.h"
#include "parquet/output_file.h"
#include "parquet/value_filter.h"

namespace varve::merge {

namespace {

// Pages up to here are read whatever the memory limit.
constexpr uint64_t kPageBytesMin = 64 << 20;
constexpr uint32_t kOtherFiles = 16;  // of the process, that are open

Status Check(const MergeOptions& options) {
  auto bad = [](const char* what) { return MakeError(ErrorKind::kInvalid, what); };
  if (options.keys.empty()) return bad("no key to merge by");
  if (options.group_rows_max == 0 || options.group_bytes_max == 0) return bad("no row group size");
  if (options.page_bytes == 0 || options.page_rows_max == 0) return bad("no page size");
  if (options.page_bytes > 64 << 20) return bad("a page size of more than 64 MiB");
  if (!parquet::IsParquetCodec(options.codec)) return bad("a codec that Parquet does not have");
  return {};
}

parquet::TimestampUnit UnitOf(Timestamps timestamps) {
  switch (timestamps) {
    case Timestamps::kMillis:
      return parquet::TimestampUnit::kMillis;
    case Timestamps::kMicros:
      return parquet::TimestampUnit::kMicros;
    case Timestamps::kKeep:
      break;
  }
  return parquet::TimestampUnit::kNone;
}

std::vector<parquet::SortedBy> SortedByOf(const std::vector<KeyColumn>& keys) {
  std::vector<parquet::SortedBy> out;
  for (const KeyColumn& key : keys) {
    out.push_back({static_cast<int>(key.column), key.descending, key.nulls_first});
  }
  return out;
}

Status ChooseFilters(const std::vector<std::string>& names, InputSet& inputs) {
  for (const std::string& name : names) {
    auto bad = [&](const std::string& what) {
      return MakeError(ErrorKind::kInvalid, "a Bloom filter on column " + name + ": " + what);
    };
    const auto at = inputs.ColumnNamed(name);
    if (!at.ok()) return bad(at.error().message);
    if (!parquet::ValueFilter::Suits(*inputs.schema->Column(static_cast<int>(*at)))) {
      return bad("booleans and half floats have none");
    }
    inputs.columns[*at].filtered = true;
  }
  return {};
}

rlim_t FilesOfProcess() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

// Other files of the process need some, too.
uint32_t OpenFilesMax(const MergeOptions& options) {
  const auto most = std::min<rlim_t>(FilesOfProcess() / 2, options.open_files_max);
  return static_cast<uint32_t>(std::max<rlim_t>(most, 1));
}

// Encoders of high levels have tens of megabytes for each thread, beside its pages.
unsigned ThreadsOf(const MergeOptions& options) {
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  const unsigned wanted = options.threads > 0 ? options.threads : cores;
  const auto encoder = static_cast<int64_t>(parquet::EncoderBytes(options.codec));
  const int64_t most = encoder == 0 ? wanted : std::max<int64_t>(1, PageBudget(options) / encoder);
  return static_cast<unsigned>(std::min<int64_t>(wanted, most));
}

// All are open until they have their names.
uint32_t OutputFilesMax(const MergeOptions& options) {
  const rlim_t all = FilesOfProcess(), others = OpenFilesMax(options) + kOtherFiles;
  const rlim_t left = all > others ? all - others : 1;
  return static_cast<uint32_t>(std::min<rlim_t>(options.files_max, left));
}

// What Arrow's rows were in would stay, beside what is next.
void ReleaseFreedMemory() { ::malloc_trim(0); }

class Merge {
 public:
  Merge(const std::string& output, const MergeOptions& options, TaskPool& pool)
      : output_(output),
        options_(options),
        pool_(pool),
        temp_(options.temp_directory, output),
        rule_{{UnitOf(options.timestamps), nullptr},
              options.field_ids,
              options.table_ids,
              options.wide,
              options.untyped_columns,
              options.column_metadata} {}

  // Sorts what has to be, merges in passes what is too much at once, then the rest.
  Result<MergeSummary> Run(const std::vector<std::string>& inputs) {
    temp_.RemoveLeftovers();
    parquet::OutputFile::RemoveLeftovers(output_);
    TRY(Open(inputs));
    summary_.rows = set_->rows;
    summary_.bytes_read = set_->bytes;
    if (options_.unsorted == Unsorted::kSort) TRY(SortInputs(inputs));
    while (true) {
      const auto groups = PassGroups(*set_, keys_.front(), options_);
      if (groups.size() == 1) break;
      TRY(MergeGroups(groups));
      ++summary_.passes;
    }
    return MergeAll();
  }
  // Without the names of intermediate files.
  Error Explained(Error error) const { return temp_.Explained(std::move(error)); }

 private:
  Status Open(const std::vector<std::string>& paths) {
    set_ = std::make_unique<InputSet>(
        TRY(OpenInputs(paths, options_.keys.front().column, OpenFilesMax(options_), pool_, rule_)));
    // Of the files that were given: what is made of some of them does not speak for them.
    if (!metadata_) metadata_ = set_->metadata;
    set_->metadata = *metadata_;
    set_->page_bytes_max = std::max(kPageBytesMin, options_.memory_bytes_max / 2);
    keys_ = TRY(FindKeys(*set_, options_.keys));
    TRY(ChooseFilters(options_.bloom_columns, *set_));
    return {};
  }

  Status SortInputs(const std::vector<std::string>& inputs) {
    std::vector<std::string> paths;
    for (uint32_t file = 0; file < inputs.size(); ++file) {
      if (TRY(IsSorted(*set_, keys_, file))) {
        paths.push_back(inputs[file]);
        continue;
      }
      TRY(SortFile(*set_, keys_, file, temp_, options_, paths));
      ++summary_.files_sorted;
    }
    if (summary_.files_sorted == 0) return {};
    ReleaseFreedMemory();
    return Open(paths);
  }

  Status MergeGroups(const std::vector<std::pair<uint32_t, uint32_t>>& groups) {
    std::vector<std::string> paths;
    // Arrow's readers have a page of each column.
    const MergeOptions inner = TemporaryOptions(options_, /*small_pages=*/set_->nested);
    for (const auto& [first, last] : groups) {
      std::vector<std::string> inputs;
      for (uint32_t file = first; file < last; ++file) inputs.push_back(set_->files->path(file));
      if (inputs.size() == 1) {
        paths.push_back(inputs.front());
        continue;
      }
      paths.push_back(TRY(temp_.Next("the merge of " + inputs.front() + " to " + inputs.back())));
      Merge merge(paths.back(), inner, pool_);
      merge.rule_.timestamps.like = set_->schema;
      TRY(merge.Open(inputs));
      TRY(merge.MergeAll());
      ReleaseFreedMemory();
    }
    return Open(paths);
  }

  Result<MergeSummary> MergeAll() {
    if (set_->nested) {
      summary_.by_rows = true;
      summary_.files = TRY(MergeByArrow(*set_, keys_, output_, pool_, options_));
      for (const MergedFile& file : summary_.files) summary_.bytes_written += file.bytes;
      return summary_;
    }
    OutputFiles files(*set_, SortedByOf(keys_), output_, options_);
    {
      MergeRun run(*set_, keys_, TRY(KeySplit::Make(*set_, keys_, options_.split_us)), files, pool_,
                   options_);
      TRY(run.Run());
      summary_.rows_copied = run.rows_copied();
    }
    TRY(files.Finish());
    summary_.files = files.files();
    summary_.bytes_written = files.bytes_written();
    return summary_;
  }

  const std::string output_;
  const MergeOptions options_;
  TaskPool& pool_;
  TempFiles temp_;
  SchemaRule rule_;
  std::unique_ptr<InputSet> set_;
  std::optional<std::vector<std::pair<std::string, std::string>>> metadata_;
  std::vector<KeyColumn> keys_;
  MergeSummary summary_;
};

}  // namespace

Result<MergeSummary> MergeFiles(const std::vector<std::string>& inputs, const std::string& output,
                                const MergeOptions& options) {
  TRY(Check(options));
  TRY(CheckAbsent(output, options));
  const auto pool = TRY(TaskPool::Make(ThreadsOf(options)));
  MergeOptions bounded = options;
  bounded.files_max = OutputFilesMax(options);
  Merge merge(output, bounded, *pool);
  auto done = merge.Run(inputs);
  pool->Discard();  // its tasks refer to the merge
  if (!done.ok()) return merge.Explained(std::move(done).error());
  return done;
}

}  // namespace varve::merge
