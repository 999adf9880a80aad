#include "core/file_lock.h"

#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <thread>

namespace varve {
namespace {

constexpr auto kAskEvery = std::chrono::milliseconds(20);
constexpr int kTriesMax = 100;

}  // namespace

Result<bool> LockFd(int fd, bool exclusive, const std::string& path) {
  for (int tries = 1;; ++tries) {
    if (flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK && errno != EINTR) return ErrnoError(errno, "lock " + path);
    if (tries == kTriesMax) return false;
    std::this_thread::sleep_for(kAskEvery);
  }
}

}  // namespace varve
