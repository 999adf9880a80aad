#include "journal/lock_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "core/file_lock.h"

namespace varve::journal {

Result<LockFile> LockFile::Take(const std::string& directory, Mode mode) {
  const bool writes = mode == Mode::kWrite;
  if (writes) {
    std::error_code ec;
    std::filesystem::create_directories(directory, ec);
    if (ec) return ErrnoError(ec.value(), "create journal directory " + directory);
  }
  const std::string path = directory + "/lock";
  const int fd = open(path.c_str(), (writes ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC, 0640);
  if (fd < 0 && !writes && errno == ENOENT) return LockFile(-1);
  if (fd < 0) {
    return ErrnoError(errno, "journal directory " + directory + " cannot be " +
                                 (writes ? "written" : "read") + ": open " + path);
  }
  LockFile lock(fd);
  if (TRY(LockFd(fd, writes, path))) return lock;
  return MakeError(ErrorKind::kConflict, "JOURNAL_LOCKED",
                   "journal directory " + directory + " is in use by another process");
}

LockFile::~LockFile() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace varve::journal
