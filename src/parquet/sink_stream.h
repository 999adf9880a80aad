// Where a Parquet file's bytes go, as libparquet wants it. Included by .cc files only: Arrow's
// headers are heavy.
#pragma once

#include <arrow/io/interfaces.h>

#include <functional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace varve::parquet {

// Bytes in order, all of them or an error.
using ByteSink = std::function<Status(std::string_view bytes)>;

class SinkStream : public arrow::io::OutputStream {
 public:
  explicit SinkStream(ByteSink sink) : sink_(std::move(sink)) {}
  arrow::Status Close() override {
    closed_ = true;
    return arrow::Status::OK();
  }
  bool closed() const override { return closed_; }
  arrow::Result<int64_t> Tell() const override { return position_; }
  using arrow::io::OutputStream::Write;
  arrow::Status Write(const void* data, int64_t size) override {
    auto written = sink_({static_cast<const char*>(data), static_cast<size_t>(size)});
    if (!written.ok()) {
      if (error_.ok()) error_ = std::move(written);
      return arrow::Status::IOError("sink");
    }
    position_ += size;
    return arrow::Status::OK();
  }
  // The first error of the sink, which an exception of libparquet cannot carry.
  const Status& error() const { return error_; }

 private:
  ByteSink sink_;
  int64_t position_ = 0;
  bool closed_ = false;
  Status error_;
};

}  // namespace varve::parquet
