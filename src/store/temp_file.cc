#include "store/temp_file.h"

#include <stdio.h>

#include <atomic>
#include <cerrno>
#include <utility>

#include "store/file_io.h"

namespace varve::store {
namespace {

constexpr int kNameTriesMax = 1000;

// Process ids repeat between containers that share a directory, so O_EXCL has the last word.
std::string NextName() {
  static std::atomic<uint64_t> count{0};
  return std::to_string(getpid()) + "-" + std::to_string(count.fetch_add(1));
}

}  // namespace

Result<TempFile> TempFile::Create(RootedDir& root, bool renameat2) {
  UniqueFd directory = TRY(root.EnsureDir(kTempDir));
  for (int i = 0; i < kNameTriesMax; ++i) {
    std::string name = NextName();
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    UniqueFd file(openat(directory.get(), name.c_str(), flags, 0644));
    if (file.ok()) {
      return TempFile(std::move(directory), std::move(file), std::move(name), renameat2);
    }
    if (errno != EEXIST && errno != EINTR) return FileError(errno, "create a temporary file");
  }
  return MakeError(ErrorKind::kRetryable, "no free name for a temporary file");
}

Result<TempFile> TempFile::Adopt(const std::string& path, bool renameat2) {
  const size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  UniqueFd directory(open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.ok()) return FileError(errno, "open " + parent);
  UniqueFd file(openat(directory.get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!file.ok()) return FileError(errno, "open " + path);
  TempFile adopted(std::move(directory), std::move(file), std::move(name), renameat2);
  adopted.stays_ = true;
  return adopted;
}

TempFile::TempFile(TempFile&& other) noexcept
    : directory_(std::move(other.directory_)),
      file_(std::move(other.file_)),
      name_(std::exchange(other.name_, {})),
      renameat2_(other.renameat2_),
      stays_(other.stays_) {}

TempFile::~TempFile() {
  if (!name_.empty() && !stays_) unlinkat(directory_.get(), name_.c_str(), 0);
}

int TempFile::PublishOver(int directory, const std::string& name) {
  if (renameat(directory_.get(), name_.c_str(), directory, name.c_str()) != 0) return errno;
  name_.clear();
  return 0;
}

int TempFile::PublishNew(int directory, const std::string& name) {
  if (renameat2_) {
    if (renameat2(directory_.get(), name_.c_str(), directory, name.c_str(), RENAME_NOREPLACE) ==
        0) {
      name_.clear();
      return 0;
    }
    if (errno != EINVAL && errno != ENOSYS && errno != EPERM) return errno;
  }
  // The second name goes when this object does, or at the next open after a crash.
  if (linkat(directory_.get(), name_.c_str(), directory, name.c_str(), 0) != 0) return errno;
  stays_ = false;
  return 0;
}

}  // namespace varve::store
