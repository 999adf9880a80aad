// The output: one file, or a new one whenever the last is full. They get their names together, once
// all of them are whole.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/result.h"
#include "merge/input_set.h"
#include "merge/merge.h"
#include "parquet/output_file.h"
#include "parquet/page_file_writer.h"

namespace varve::merge {

// The path of an output, if there may be several.
std::string NumberedPath(const std::string& path, size_t number, const MergeOptions& options);
// kConflict, OUTPUT_EXISTS: the output is several files, and one of such a name is there: with
// those of an earlier merge, nobody could tell what belongs together.
Status CheckAbsent(const std::string& path, const MergeOptions& options);
// Whether the file ends before another `rows` rows; bytes: that it has.
bool IsFull(const MergedFile& file, uint64_t bytes, uint64_t rows, const MergeOptions& options);
// kExhausted, TOO_MANY_FILES: the bound is reached.
Status CheckFileCount(size_t files, const MergeOptions& options);
// All of them, or none. OUTPUT_EXISTS: one of several has appeared meanwhile; it stays.
Status PublishAll(const std::vector<std::unique_ptr<parquet::OutputFile>>& outputs,
                  const std::vector<MergedFile>& files, const MergeOptions& options);

class OutputFiles {
 public:
  OutputFiles(const InputSet& inputs, const std::vector<parquet::SortedBy>& sorting,
              const std::string& path, const MergeOptions& options);

  // The writer of the next row group; ends a file that is full before, or of an earlier period.
  Result<parquet::PageFileWriter*> ForGroup(uint32_t rows, bool begins_period);
  // At least one file, if it has no rows.
  Status Finish();
  const std::vector<MergedFile>& files() const { return files_; }
  uint64_t bytes_written() const;

 private:
  Status OpenNext();
  Status CloseLast();

  const InputSet& inputs_;
  const std::vector<parquet::SortedBy> sorting_;
  const std::string path_;
  const MergeOptions& options_;
  std::vector<std::unique_ptr<parquet::OutputFile>> outputs_;
  std::unique_ptr<parquet::PageFileWriter> writer_;
  std::vector<MergedFile> files_;
  uint64_t bytes_closed_ = 0;
};

}  // namespace varve::merge
