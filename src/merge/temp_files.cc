#include "merge/temp_files.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "core/leftovers.h"

namespace varve::merge {

namespace {
constexpr const char* kName = "/.varve-merge-";

std::string PathOf(const std::string& directory, size_t number) {
  return directory + "/" + std::to_string(number) + ".parquet";
}

}  // namespace

TempFiles::~TempFiles() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  if (lock_ >= 0) ::close(lock_);
}

Result<std::string> TempFiles::Next(std::string of) {
  if (path_.empty()) {
    std::string path = parent_ + kName + "XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) {
      return ErrnoError(errno, "create a directory in " + parent_);
    }
    path_ = std::move(path);
    lock_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock_ >= 0) ::flock(lock_, LOCK_EX | LOCK_NB);
  }
  made_of_.push_back(std::move(of));
  return PathOf(path_, made_of_.size() - 1);
}

Error TempFiles::Explained(Error error) const {
  for (size_t i = made_of_.size(); i-- > 0;) {  // one may be made of others before it
    const std::string path = PathOf(path_, i);
    const size_t at = error.message.find(path);
    if (at == std::string::npos) continue;
    error.message.replace(at, path.size(), made_of_[i]);
    if (error.code == "UNSORTED") {
      error.kind = ErrorKind::kInternal;
      error.code.clear();
    }
  }
  return error;
}

void TempFiles::RemoveLeftovers() const {
  RemoveUnlocked(parent_,
                 [&](const std::string& path) { return path.starts_with(parent_ + kName); });
}

}  // namespace varve::merge
