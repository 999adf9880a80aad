// Output files by Arrow's writer. Included by .cc files only: Arrow's headers are heavy.
#pragma once

#include <arrow/api.h>
#include <parquet/arrow/writer.h>
#include <parquet/properties.h>

#include <memory>
#include <string>
#include <vector>

#include "core/result.h"
#include "merge/input_set.h"
#include "merge/key_block.h"
#include "merge/merge.h"
#include "parquet/output_file.h"

namespace varve::parquet {
class SinkStream;
}

namespace varve::merge {

class ArrowOutput {
 public:
  ArrowOutput(const InputSet& inputs, const std::vector<KeyColumn>& keys, std::string path,
              const MergeOptions& options);
  ~ArrowOutput();

  const std::shared_ptr<arrow::Schema>& schema() const { return schema_; }
  // The columns as rows are carried.
  Status Open();
  // A row group, of the schema's columns: each is let go once it is written.
  Status Write(std::vector<std::shared_ptr<arrow::Array>> columns, bool begins_period);
  Status Finish();
  const std::vector<MergedFile>& files() const { return files_; }

 private:
  Status OpenNext();
  Status CloseLast();
  void EnableFilters(::parquet::WriterProperties::Builder& builder) const;
  std::shared_ptr<::parquet::WriterProperties> Properties() const;
  std::shared_ptr<const arrow::KeyValueMetadata> Metadata() const;

  const InputSet& inputs_;
  const std::vector<KeyColumn>& keys_;
  const std::string path_;
  const MergeOptions& options_;
  std::shared_ptr<arrow::Schema> schema_;
  std::vector<std::unique_ptr<parquet::OutputFile>> outputs_;
  std::shared_ptr<parquet::SinkStream> stream_;
  std::unique_ptr<::parquet::arrow::FileWriter> writer_;
  std::vector<MergedFile> files_;
};

}  // namespace varve::merge
