#include "merge/merge.h"

#include <algorithm>
#include <thread>

#include "merge/arrow_merge.h"
#include "merge/merge_run.h"
#include "parquet/codec.h"

namespace varve::merge {

namespace {

Status Check(const MergeOptions& options) {
  auto bad = [](const char* what) { return MakeError(ErrorKind::kInvalid, what); };
  if (options.group_rows_max == 0 || options.group_bytes_max == 0) return bad("no row group size");
  if (options.page_bytes == 0 || options.page_rows_max == 0) return bad("no page size");
  if (options.page_bytes > 64 << 20) return bad("a page size of more than 64 MiB");
  if (!parquet::IsParquetCodec(options.codec)) return bad("a codec that Parquet does not have");
  return {};
}

std::vector<parquet::SortedBy> SortedByOf(const std::vector<KeyColumn>& keys) {
  std::vector<parquet::SortedBy> out;
  for (const KeyColumn& key : keys) {
    out.push_back({static_cast<int>(key.column), key.descending, key.nulls_first});
  }
  return out;
}

}  // namespace

Result<MergeSummary> MergeFiles(const std::vector<std::string>& inputs, const std::string& output,
                                const MergeOptions& options) {
  TRY(Check(options));
  const InputSet set = TRY(OpenInputs(inputs, options.open_files_max));
  const auto keys = TRY(FindKeys(set, options.keys));
  MergeSummary summary;
  summary.rows = set.rows;
  summary.bytes_read = set.bytes;
  if (set.nested) {
    summary.by_rows = true;
    summary.files = TRY(MergeByArrow(set, keys, output, options));
    for (const MergedFile& file : summary.files) summary.bytes_written += file.bytes;
    return summary;
  }
  OutputFiles files(set, SortedByOf(keys), output, options);
  {
    const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
    TaskPool pool(options.threads > 0 ? options.threads : cores);
    MergeRun run(set, keys, files, pool, options);
    TRY(run.Run());
    summary.rows_copied = run.rows_copied();
  }
  TRY(files.Finish());
  summary.files = files.files();
  summary.bytes_written = files.bytes_written();
  return summary;
}

}  // namespace varve::merge
