#include "query/ndjson_lines.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "record/event.h"

namespace varve::query {

namespace {
constexpr size_t kBlockBytes = 1 << 20;
constexpr size_t kLineBytesMax = 64 << 20;
}  // namespace

LineBlocks::~LineBlocks() {
  if (fd_ >= 0) close(fd_);
}

Status LineBlocks::Open(const std::string& path) {
  if (fd_ >= 0) close(fd_);
  fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) return ErrnoError(errno, "open");
  buffer_.resize(kBlockBytes + record::kJsonPaddingBytes);
  begin_ = end_ = 0;
  long_lines_ = 0;
  at_end_ = skipping_ = false;
  return {};
}

Result<size_t> LineBlocks::ReadMore() {
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  const size_t capacity = buffer_.size() - record::kJsonPaddingBytes;
  if (end_ == capacity) {
    if (capacity >= kLineBytesMax) {
      if (!skipping_) ++long_lines_;
      skipping_ = true;
      end_ = 0;
    } else {
      buffer_.resize(2 * capacity + record::kJsonPaddingBytes);
    }
  }
  while (true) {
    const ssize_t got =
        read(fd_, buffer_.data() + end_, buffer_.size() - record::kJsonPaddingBytes - end_);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError(errno, "read");
    end_ += static_cast<size_t>(got);
    return static_cast<size_t>(got);
  }
}

Result<std::string_view> LineBlocks::Next() {
  while (true) {
    const std::string_view waiting(buffer_.data() + begin_, end_ - begin_);
    if (skipping_) {
      const size_t newline = waiting.find('\n');
      begin_ = newline == std::string_view::npos ? end_ : begin_ + newline + 1;
      skipping_ = newline == std::string_view::npos;
    } else {
      const size_t last = at_end_ ? waiting.size() : waiting.rfind('\n') + 1;
      if (last > 0 && !waiting.empty()) {
        begin_ += last;
        return waiting.substr(0, last);
      }
    }
    if (at_end_) return std::string_view();
    if (!skipping_ || begin_ == end_) at_end_ = TRY(ReadMore()) == 0;
  }
}

}  // namespace varve::query
