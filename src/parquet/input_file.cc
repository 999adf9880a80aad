#include "parquet/input_file.h"

#include <fcntl.h>
#include <parquet/metadata.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/bytes.h"
#include "parquet/try_parquet.h"

namespace varve::parquet {

namespace pq = ::parquet;

namespace {

constexpr size_t kTailBytes = 64 << 10;  // read at first: most footers are in it
constexpr size_t kMagicBytes = 4;
constexpr std::string_view kMagic = "PAR1";

Status ReadFully(int fd, const std::string& path, uint64_t offset, uint8_t* out, size_t bytes) {
  while (bytes > 0) {
    const ssize_t got = ::pread(fd, out, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError(errno, "read " + path);
    if (got == 0) return MakeError(ErrorKind::kCorrupt, path + ": is cut off");
    out += got;
    offset += static_cast<uint64_t>(got);
    bytes -= static_cast<size_t>(got);
  }
  return {};
}

std::string_view Text(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace

InputFiles::InputFiles(std::vector<std::string> paths, size_t open_max) : open_max_(open_max) {
  for (std::string& path : paths) {
    files_.push_back(std::make_unique<File>());
    files_.back()->path = std::move(path);
  }
}

InputFiles::~InputFiles() {
  for (const auto& file : files_) {
    if (file->fd >= 0) ::close(file->fd);
  }
}

void InputFiles::CloseOne() {
  for (const size_t at : used_) {
    if (files_[at]->readers > 0) continue;
    ::close(files_[at]->fd);
    files_[at]->fd = -1;
    used_.erase(files_[at]->used);
    return;
  }
}

Result<int> InputFiles::Acquire(size_t at) {
  const std::lock_guard lock(mutex_);
  File& file = *files_[at];
  if (file.fd >= 0) {
    used_.splice(used_.end(), used_, file.used);
    ++file.readers;
    return file.fd;
  }
  if (used_.size() >= open_max_) CloseOne();
  // Not waiting for whoever writes to it, if it is a pipe.
  const int fd = ::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ErrnoError(errno, "open " + file.path);
  struct stat now {};
  if (::fstat(fd, &now) != 0 || !S_ISREG(now.st_mode)) {
    ::close(fd);
    return MakeError(ErrorKind::kInvalid, file.path + ": is not a file");
  }
  const auto bytes = static_cast<uint64_t>(now.st_size);
  if (file.seen && (file.bytes != bytes || file.device != now.st_dev || file.inode != now.st_ino)) {
    ::close(fd);
    return MakeError(ErrorKind::kConflict, file.path + ": has changed while it was read");
  }
  file.seen = true;
  file.bytes = bytes;
  file.device = now.st_dev;
  file.inode = now.st_ino;
  file.fd = fd;
  file.readers = 1;
  file.used = used_.insert(used_.end(), at);
  return fd;
}

void InputFiles::Release(size_t at) {
  const std::lock_guard lock(mutex_);
  --files_[at]->readers;
}

void InputFiles::Close(size_t at) {
  const std::lock_guard lock(mutex_);
  File& file = *files_[at];
  if (file.fd < 0 || file.readers > 0) return;
  ::close(file.fd);
  file.fd = -1;
  used_.erase(file.used);
}

Result<Buffer> InputFiles::Read(size_t at, uint64_t offset, size_t bytes) {
  const int fd = TRY(Acquire(at));
  const File& file = *files_[at];
  Status read;
  Buffer out;
  if (offset > file.bytes || bytes > file.bytes - offset) {
    read = MakeError(ErrorKind::kCorrupt, file.path + ": names bytes that are beyond its end");
  } else {
    out.Resize(bytes);
    read = ReadFully(fd, file.path, offset, out.data(), bytes);
  }
  Release(at);
  if (!read.ok()) return std::move(read).error();
  return out;
}

Result<std::shared_ptr<pq::FileMetaData>> InputFiles::ReadFooter(size_t at) {
  const int fd = TRY(Acquire(at));
  (void)fd;
  Release(at);
  const File& file = *files_[at];
  auto bad = [&](const char* what) { return MakeError(ErrorKind::kCorrupt, file.path + what); };
  if (file.bytes < 3 * kMagicBytes) return bad(": is too short for a Parquet file");
  const Buffer head = TRY(Read(at, 0, kMagicBytes));
  size_t tail_bytes = std::min<uint64_t>(file.bytes, kTailBytes);
  Buffer tail = TRY(Read(at, file.bytes - tail_bytes, tail_bytes));
  const uint8_t* end = tail.data() + tail.size();
  if (Text(end - 4, 4) == "PARE") return bad(": is encrypted");
  if (Text(head.data(), 4) != kMagic || Text(end - 4, 4) != kMagic) {
    return bad(": is not a Parquet file, or cut off");
  }
  const uint64_t length = GetLe<uint32_t>(reinterpret_cast<const char*>(end - 8));
  if (length > file.bytes - 3 * kMagicBytes) return bad(": has a footer longer than itself");
  if (length + 8 > tail_bytes) {
    tail_bytes = length + 8;
    tail = TRY(Read(at, file.bytes - tail_bytes, tail_bytes));
    end = tail.data() + tail.size();
  }
  std::shared_ptr<pq::FileMetaData> footer;
  TRY(TryParquet(
      file.path + ": its footer",
      [&] { footer = pq::FileMetaData::Make(end - 8 - length, static_cast<int64_t>(length)); },
      ErrorKind::kCorrupt));
  return footer;
}

}  // namespace varve::parquet
