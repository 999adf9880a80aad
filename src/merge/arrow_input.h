// A file of the inputs as Arrow reads one, by the descriptors that all share: however many readers
// there are, a bounded number of files is open. Included by .cc files only: Arrow's headers are
// heavy.
#pragma once

#include <arrow/io/interfaces.h>
#include <arrow/result.h>

#include <memory>

#include "core/result.h"
#include "parquet/input_file.h"

namespace varve::merge {

// The files have to outlive it. One thread at a time.
class ArrowInput : public arrow::io::RandomAccessFile {
 public:
  ArrowInput(parquet::InputFiles& files, size_t file) : files_(files), file_(file) {}

  // Of a read that failed: Arrow does not tell it from bytes that make no sense.
  const Status& error() const { return error_; }

  arrow::Status Close() override;
  bool closed() const override { return closed_; }
  arrow::Result<int64_t> Tell() const override { return position_; }
  arrow::Status Seek(int64_t position) override;
  arrow::Result<int64_t> GetSize() override;
  arrow::Result<int64_t> Read(int64_t bytes, void* out) override;
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t bytes) override;
  arrow::Result<int64_t> ReadAt(int64_t position, int64_t bytes, void* out) override;
  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(int64_t position, int64_t bytes) override;

 private:
  parquet::InputFiles& files_;
  const size_t file_;
  Status error_;
  int64_t position_ = 0;
  bool closed_ = false;
};

}  // namespace varve::merge
