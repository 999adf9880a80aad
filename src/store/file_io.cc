#include "store/file_io.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "core/log.h"

namespace varve::store {
namespace {

constexpr size_t kIoBytesMax = size_t{1} << 30;  // Linux moves at most 2 GiB a call

int Sync(int fd) {
  int rc;
  do {
    rc = fsync(fd);
  } while (rc != 0 && errno == EINTR);
  return rc;
}

[[noreturn]] void EndAfterFailedSync(int err, std::string_view doing) {
  LogError("store_fsync_failed", {{"doing", doing}, {"error", std::strerror(err)}});
  std::abort();
}

}  // namespace

Error FileError(int err, std::string_view doing) {
  Error error = ErrnoError(err, doing);
  switch (err) {
    case EROFS:
    case EACCES:
    case EPERM:
      error.code = "READ_ONLY";
      break;
    case ENAMETOOLONG:
    case EILSEQ:
    case EINVAL:
      error.kind = ErrorKind::kInvalid;
      error.code = "INVALID_PATH";
      break;
    default:
      break;
  }
  return error;
}

Status WriteAll(int fd, std::string_view bytes, std::string_view doing) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), std::min(bytes.size(), kIoBytesMax));
    if (written < 0) {
      if (errno == EINTR) continue;
      return FileError(errno, doing);
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

Result<std::string> ReadExactly(int fd, uint64_t offset, uint64_t size, std::string_view doing) {
  std::string bytes(size, '\0');
  size_t have = 0;
  while (have < size) {
    const ssize_t got = pread(fd, bytes.data() + have, std::min(size - have, kIoBytesMax),
                              static_cast<off_t>(offset + have));
    if (got < 0) {
      if (errno == EINTR) continue;
      return FileError(errno, doing);
    }
    if (got == 0) {
      return MakeError(ErrorKind::kRetryable, "OBJECT_CHANGED",
                       std::string(doing) + ": the file became shorter while it was read");
    }
    have += static_cast<size_t>(got);
  }
  return bytes;
}

Status SyncNewFile(int fd, std::string_view doing) {
  if (Sync(fd) == 0) return {};
  const int err = errno;
  if (err == ENOSPC || err == EDQUOT) return FileError(err, doing);
  EndAfterFailedSync(err, doing);
}

void SyncDirectory(int fd, std::string_view doing) {
  if (Sync(fd) == 0) return;
  // Some file systems have no fsync of directories at all and say EINVAL.
  if (errno != EINVAL) EndAfterFailedSync(errno, doing);
}

}  // namespace varve::store
