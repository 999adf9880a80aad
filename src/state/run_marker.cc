#include "state/run_marker.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace varve::state {
namespace {

int Lock(int fd, int operation) {
  int rc;
  do {
    rc = flock(fd, operation);
  } while (rc != 0 && errno == EINTR);
  return rc;
}

}  // namespace

Result<RunMarker> RunMarker::Take(const std::string& database_path) {
  const std::string path = database_path + ".lock";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) {
    const int err = errno;
    Error error = ErrnoError(err, "open " + path);
    if (err == EROFS || err == EACCES || err == EPERM) error.code = "STATE_READ_ONLY";
    return error;
  }
  if (Lock(fd, LOCK_EX | LOCK_NB) == 0) return RunMarker(fd, true);
  if (errno == EWOULDBLOCK && Lock(fd, LOCK_SH) == 0) return RunMarker(fd, false);
  Error error = ErrnoError(errno, "lock " + path);
  close(fd);
  return error;
}

RunMarker::RunMarker(RunMarker&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), alone_(other.alone_) {}

RunMarker::~RunMarker() {
  if (fd_ >= 0) close(fd_);
}

void RunMarker::Share() { Lock(fd_, LOCK_SH); }

bool RunMarker::TryAlone() { return Lock(fd_, LOCK_EX | LOCK_NB) == 0; }

}  // namespace varve::state
