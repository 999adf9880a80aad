// The rows of a part as Arrow reads them, as a row schema's. Included by .cc files only: Arrow's
// headers are heavy.
#pragma once

#include <arrow/api.h>
#include <parquet/arrow/reader.h>

#include <memory>
#include <optional>
#include <string>

#include "core/result.h"
#include "merge/arrow_input.h"
#include "merge/input_set.h"

namespace varve::merge {

class PartReader {
 public:
  PartReader(const InputSet& inputs, uint32_t part, const arrow::Schema& schema)
      : inputs_(inputs), part_(inputs.parts[part]), schema_(schema) {}

  Status Open();
  // Rows from `from` on, at most `rows`, of one batch, as the schema's columns. Only forward.
  Result<std::shared_ptr<arrow::RecordBatch>> Next(uint32_t from, uint32_t rows);

 private:
  Status CheckTimes(size_t column) const;  // of INT96
  std::optional<std::string> BadColumn() const;
  Error Bad(const arrow::Status& status) const;
  Result<std::shared_ptr<arrow::RecordBatch>> AsOutput(const arrow::RecordBatch& batch) const;

  const InputSet& inputs_;
  const Part& part_;
  const arrow::Schema& schema_;
  std::shared_ptr<ArrowInput> input_;
  std::unique_ptr<::parquet::arrow::FileReader> reader_;
  std::shared_ptr<arrow::RecordBatchReader> batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  uint32_t begin_ = 0;  // of batch_, in the part
};

}  // namespace varve::merge
