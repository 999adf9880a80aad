#include "core/leftovers.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

namespace varve {

namespace {

namespace fs = std::filesystem;

constexpr time_t kYoungSeconds = 10;  // it may not be locked yet

bool IsLeft(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return false;
  struct stat there {};
  const bool left = ::fstat(fd, &there) == 0 && ::time(nullptr) - there.st_ctime >= kYoungSeconds &&
                    ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  ::close(fd);
  return left;
}

}  // namespace

void RemoveUnlocked(const std::string& directory,
                    const std::function<bool(const std::string& path)>& chosen) {
  std::error_code error;
  std::vector<std::string> left;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const std::string path = directory + "/" + at->path().filename().string();
    if (chosen(path) && IsLeft(path)) left.push_back(path);
  }
  for (const std::string& path : left) fs::remove_all(path, error);
}

}  // namespace varve
