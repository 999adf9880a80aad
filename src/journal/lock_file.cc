#include "journal/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>

namespace varve::journal {
namespace {

constexpr auto kAskEvery = std::chrono::milliseconds(20);
constexpr int kTriesMax = 100;

}  // namespace

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
  for (int tries = 1;; ++tries) {
    if (flock(fd, (writes ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0) return lock;
    if (errno != EWOULDBLOCK && errno != EINTR) return ErrnoError(errno, "lock " + path);
    if (tries == kTriesMax) break;
    std::this_thread::sleep_for(kAskEvery);
  }
  return MakeError(ErrorKind::kConflict, "JOURNAL_LOCKED",
                   "journal directory " + directory + " is in use by another process");
}

LockFile::~LockFile() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace varve::journal
