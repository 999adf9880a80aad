#include "store/rooted_dir.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "core/crash_point.h"
#include "store/file_io.h"

namespace varve::store {
namespace {

const CrashPoint kDirMade{"store.put.directory_made"};

constexpr int kOpenDir = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
constexpr int kWalkDir = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr mode_t kDirMode = 0755;

UniqueFd OpenRetrying(int parent, const char* name, int flags, mode_t mode) {
  int fd;
  do {
    fd = openat(parent, name, flags, mode);
  } while (fd < 0 && errno == EINTR);
  return UniqueFd(fd);
}

Error InTheWay(std::string_view path) {
  return MakeError(ErrorKind::kInvalid, "INVALID_PATH",
                   "'" + std::string(path) +
                       "' is an object or a link, and in a directory store it cannot also be a "
                       "folder of other objects");
}

// mkdir -p for the root itself: each new directory's entry is made durable.
Status MakeRoot(const std::string& root, bool sync) {
  for (size_t end = root.find('/', 1);; end = root.find('/', end + 1)) {
    const std::string path = root.substr(0, end);
    if (mkdir(path.c_str(), kDirMode) == 0) {
      const size_t slash = path.rfind('/');
      const std::string parent = slash == std::string::npos ? "."
                                 : slash == 0               ? "/"
                                                            : path.substr(0, slash);
      const UniqueFd fd = OpenRetrying(AT_FDCWD, parent.c_str(), kOpenDir, 0);
      if (!fd.ok()) return FileError(errno, "open " + parent);
      if (sync) SyncDirectory(fd.get(), "sync " + parent);
    } else if (errno != EEXIST && errno != EISDIR) {
      const int err = errno;
      struct stat st {};
      if (stat(path.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) {
        return FileError(err, "make directory " + path);
      }
    }
    if (end == std::string::npos) return {};
  }
}

}  // namespace

std::pair<std::string_view, std::string_view> SplitPath(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {std::string_view(), path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

Result<std::unique_ptr<RootedDir>> RootedDir::Open(const std::string& root,
                                                   RootedDirOptions options) {
  if (root.empty() || root.find('\0') != std::string::npos) {
    return MakeError(ErrorKind::kInvalid, "INVALID_PATH", "the store's directory has no name");
  }
  if (options.make_root) TRY(MakeRoot(root, options.sync));
  UniqueFd fd = OpenRetrying(AT_FDCWD, root.c_str(), kOpenDir, 0);
  if (!fd.ok()) return FileError(errno, "open " + root);
  char resolved[PATH_MAX];
  if (realpath(root.c_str(), resolved) == nullptr) return FileError(errno, "resolve " + root);
  return std::unique_ptr<RootedDir>(new RootedDir(std::move(fd), resolved, options));
}

UniqueFd RootedDir::OpenAt(std::string_view path, int flags, mode_t mode) const {
  if (path.empty()) return OpenRetrying(root_.get(), ".", flags | O_CLOEXEC, mode);
  if (options_.openat2) {
    UniqueFd fd = OpenByOpenat2(std::string(path).c_str(), flags, mode);
    // ENOSYS: an old kernel; EPERM: a sandbox that does not know the call.
    if (fd.ok() || (errno != ENOSYS && errno != EPERM)) return fd;
  }
  return OpenByComponents(path, flags, mode);
}

UniqueFd RootedDir::OpenByOpenat2(const char* path, int flags, mode_t mode) const {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW);
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  long fd;
  do {
    fd = syscall(SYS_openat2, root_.get(), path, &how, sizeof how);
  } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
  return UniqueFd(static_cast<int>(fd));
}

UniqueFd RootedDir::OpenByComponents(std::string_view path, int flags, mode_t mode) const {
  UniqueFd at;
  size_t begin = 0;
  for (size_t slash; (slash = path.find('/', begin)) != std::string_view::npos; begin = slash + 1) {
    const std::string name(path.substr(begin, slash - begin));
    UniqueFd next = OpenRetrying(at.ok() ? at.get() : root_.get(), name.c_str(), kWalkDir, 0);
    if (!next.ok()) return next;
    at = std::move(next);
  }
  const std::string name(path.substr(begin));
  return OpenRetrying(at.ok() ? at.get() : root_.get(), name.c_str(),
                      flags | O_NOFOLLOW | O_CLOEXEC, mode);
}

Result<UniqueFd> RootedDir::EnsureDir(std::string_view path) {
  const std::lock_guard lock(mutex_);
  if (path.empty() || durable_.contains(std::string(path))) {
    UniqueFd fd = OpenAt(path, kOpenDir);
    if (fd.ok()) return fd;  // else another program removed it: the walk makes it again or says why
  }
  UniqueFd at = OpenAt("", kOpenDir);
  if (!at.ok()) return FileError(errno, "open " + path_);
  for (size_t begin = 0;;) {
    const size_t slash = path.find('/', begin);
    auto next = MakeAndEnter(at.get(), path.substr(0, slash), begin);
    if (!next.ok()) {
      if (begin > 0) RemoveEmptyUpwardLocked(path.substr(0, begin - 1));
      return std::move(next).error();
    }
    at = std::move(next).value();
    if (slash == std::string_view::npos) return at;
    begin = slash + 1;
  }
}

// path's last component begins at name_at and lies in parent.
Result<UniqueFd> RootedDir::MakeAndEnter(int parent, std::string_view path, size_t name_at) {
  const std::string name(path.substr(name_at));
  const std::string whole(path);
  UniqueFd fd = OpenRetrying(parent, name.c_str(), kOpenDir | O_NOFOLLOW, 0);
  const bool made = !fd.ok() && errno == ENOENT;
  if (made) {
    if (mkdirat(parent, name.c_str(), kDirMode) != 0 && errno != EEXIST) {
      return FileError(errno, "make directory " + whole);
    }
    kDirMade.Hit();
    fd = OpenRetrying(parent, name.c_str(), kOpenDir | O_NOFOLLOW, 0);
  }
  if (!fd.ok()) {
    if (errno == ENOTDIR || errno == ELOOP) return InTheWay(path);
    return FileError(errno, "open " + whole);
  }
  if (made || !durable_.contains(whole)) {
    Sync(parent, "sync the directory of " + whole);
    if (durable_.size() >= kDurableDirsMax) durable_.clear();
    durable_.insert(whole);
  }
  return fd;
}

bool RootedDir::RemoveDir(std::string_view path) {
  const auto [parent, name] = SplitPath(path);
  const UniqueFd fd = OpenAt(parent, kOpenDir);
  if (!fd.ok()) return errno == ENOENT;
  if (unlinkat(fd.get(), std::string(name).c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return false;
  }
  durable_.erase(std::string(path));
  return true;
}

void RootedDir::RemoveEmptyUpward(std::string_view path) {
  const std::lock_guard lock(mutex_);
  RemoveEmptyUpwardLocked(path);
}

void RootedDir::RemoveEmptyUpwardLocked(std::string_view path) {
  while (!path.empty() && !(options_.keeps && options_.keeps(path)) && RemoveDir(path)) {
    path = SplitPath(path).first;
  }
}

bool RootedDir::RemoveEmptyTree(std::string_view path) {
  const std::lock_guard lock(mutex_);
  return RemoveEmptyTreeLocked(path);
}

bool RootedDir::RemoveEmptyTreeLocked(std::string_view path) {
  if (path.size() > PATH_MAX) return false;  // deeper than any key reaches
  std::vector<std::string> names;
  {
    UniqueFd fd = OpenAt(path, kOpenDir);
    if (!fd.ok()) return errno == ENOENT;
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(fdopendir(fd.get()), closedir);
    if (dir == nullptr) return false;
    fd.Release();
    while (const dirent* entry = readdir(dir.get())) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) return false;
      names.emplace_back(name);
    }
  }
  for (const std::string& name : names) {
    if (!RemoveEmptyTreeLocked(std::string(path) + "/" + name)) return false;
  }
  return RemoveDir(path);
}

void RootedDir::Sync(int fd, std::string_view doing) const {
  if (options_.sync) SyncDirectory(fd, doing);
}

}  // namespace varve::store
