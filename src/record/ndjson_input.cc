// A regular file is mapped, a segment at a time, so that its bytes are never copied and can be
// dropped and read again: sorted output needs each twice. A pipe is read into buffers.
#include "record/ndjson_input.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace varve::record {

namespace {

constexpr uint64_t kReadBytes = 1 << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

struct OwnedFd {
  int fd = -1;
  explicit OwnedFd(int f) : fd(f) {}
  OwnedFd(const OwnedFd&) = delete;
  ~OwnedFd() {
    if (fd >= 0) ::close(fd);
  }
};

Error LineTooLong(const std::string& path, uint64_t line_bytes_max) {
  return MakeError(ErrorKind::kInvalid, "LINE_TOO_LONG",
                   path + ": a line is longer than " + std::to_string(line_bytes_max) + " bytes");
}

class MappedSegment : public NdjsonSegment {
 public:
  MappedSegment(void* base, size_t size, std::string_view text)
      : base_(base), size_(size), text_(text) {}
  ~MappedSegment() override { ::munmap(base_, size_); }
  std::string_view text() const override { return text_; }
  void Unload() const override { ::madvise(base_, size_, MADV_DONTNEED); }

 private:
  void* base_;
  size_t size_;
  std::string_view text_;
};

class BufferSegment : public NdjsonSegment {
 public:
  explicit BufferSegment(std::string text) : text_(std::move(text)) {}
  std::string_view text() const override { return text_; }
  void Unload() const override {}

 private:
  std::string text_;
};

class MappedInput : public NdjsonInput {
 public:
  MappedInput(std::string path, int fd, uint64_t size)
      : path_(std::move(path)), fd_(fd), size_(size), page_(::sysconf(_SC_PAGESIZE)) {}
  uint64_t size() const override { return size_; }
  Result<std::unique_ptr<NdjsonSegment>> Next(uint64_t bytes_wanted,
                                              uint64_t line_bytes_max) override;

 private:
  const std::string path_;
  OwnedFd fd_;
  const uint64_t size_, page_;
  uint64_t offset_ = 0;
};

Result<std::unique_ptr<NdjsonSegment>> MappedInput::Next(uint64_t bytes_wanted,
                                                         uint64_t line_bytes_max) {
  if (offset_ >= size_) return std::unique_ptr<NdjsonSegment>();
  uint64_t wanted = std::max<uint64_t>(bytes_wanted, 1);
  while (true) {
    const uint64_t end = std::min(size_, offset_ + wanted);
    const uint64_t begin = offset_ / page_ * page_;
    void* base =
        ::mmap(nullptr, end - begin, PROT_READ, MAP_PRIVATE, fd_.fd, static_cast<off_t>(begin));
    if (base == MAP_FAILED) return ErrnoError(errno, "map " + path_);
    ::madvise(base, end - begin, MADV_WILLNEED);
    std::string_view text(static_cast<char*>(base) + (offset_ - begin), end - offset_);
    const size_t last = end == size_ ? text.size() - 1 : text.rfind('\n');
    if (last == std::string_view::npos) {
      ::munmap(base, end - begin);
      if (wanted > line_bytes_max) return LineTooLong(path_, line_bytes_max);
      wanted *= 2;
      continue;
    }
    text = text.substr(0, last + 1);
    if (offset_ == 0 && text.starts_with(kByteOrderMark)) {
      text.remove_prefix(kByteOrderMark.size());
    }
    offset_ += last + 1;
    return std::unique_ptr<NdjsonSegment>(std::make_unique<MappedSegment>(base, end - begin, text));
  }
}

class PipeInput : public NdjsonInput {
 public:
  PipeInput(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  uint64_t size() const override { return 0; }
  Result<std::unique_ptr<NdjsonSegment>> Next(uint64_t bytes_wanted,
                                              uint64_t line_bytes_max) override;

 private:
  Status Fill(std::string* text, uint64_t bytes_wanted);

  const std::string path_;
  OwnedFd fd_;
  std::string rest_;  // the begin of a line whose end is still to come
  bool at_start_ = true, at_end_ = false;
};

Status PipeInput::Fill(std::string* text, uint64_t bytes_wanted) {
  while (!at_end_ && text->size() < bytes_wanted) {
    const size_t old = text->size();
    text->resize(old + std::min(kReadBytes, bytes_wanted - old));
    const ssize_t got = ::read(fd_.fd, text->data() + old, text->size() - old);
    const int err = errno;
    text->resize(old + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && err != EINTR) return ErrnoError(err, "read " + path_);
    at_end_ = got == 0;
  }
  return {};
}

Result<std::unique_ptr<NdjsonSegment>> PipeInput::Next(uint64_t bytes_wanted,
                                                       uint64_t line_bytes_max) {
  std::string text = std::move(rest_);
  rest_.clear();
  uint64_t wanted = std::max<uint64_t>(bytes_wanted, text.size() + 1);
  while (true) {
    auto filled = Fill(&text, wanted);
    if (!filled.ok()) return std::move(filled).error();
    if (text.empty()) return std::unique_ptr<NdjsonSegment>();
    if (at_end_) break;
    const size_t last = text.rfind('\n');
    if (last != std::string::npos) {
      rest_ = text.substr(last + 1);
      text.resize(last + 1);
      break;
    }
    if (wanted > line_bytes_max) return LineTooLong(path_, line_bytes_max);
    wanted *= 2;
  }
  if (at_start_ && text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  at_start_ = false;
  return std::unique_ptr<NdjsonSegment>(std::make_unique<BufferSegment>(std::move(text)));
}

}  // namespace

Result<std::unique_ptr<NdjsonInput>> NdjsonInput::Open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT) return MakeError(ErrorKind::kNotFound, path + ": no such file");
    return ErrnoError(errno, "open " + path);
  }
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    const int err = errno;
    ::close(fd);
    return ErrnoError(err, "stat " + path);
  }
  if (S_ISDIR(info.st_mode)) {
    ::close(fd);
    return MakeError(ErrorKind::kInvalid, path + " is a directory");
  }
  if (S_ISREG(info.st_mode)) {
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return std::unique_ptr<NdjsonInput>(
        std::make_unique<MappedInput>(path, fd, static_cast<uint64_t>(info.st_size)));
  }
  return std::unique_ptr<NdjsonInput>(std::make_unique<PipeInput>(path, fd));
}

}  // namespace varve::record
