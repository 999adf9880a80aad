// A text file as blocks of whole lines, in bounded memory, each with JSON padding behind it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace varve::query {

class LineBlocks {
 public:
  LineBlocks() = default;
  LineBlocks(const LineBlocks&) = delete;
  LineBlocks& operator=(const LineBlocks&) = delete;
  ~LineBlocks();

  Status Open(const std::string& path);
  // The next block of whole lines, empty at the end; it stays valid until the next call. A line
  // beyond line_bytes_max is passed over and counted.
  Result<std::string_view> Next();
  uint64_t long_lines() const { return long_lines_; }

 private:
  Result<size_t> ReadMore();

  int fd_ = -1;
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;  // bytes read and not yet given out
  uint64_t long_lines_ = 0;
  bool at_end_ = false;
  bool skipping_ = false;  // inside a line that is too long
};

}  // namespace varve::query
