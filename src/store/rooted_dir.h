// A directory tree that no path can leave, and whose directories are durable before they are used.
//
// Paths are relative, '/'-separated and already checked (CheckKey); "" is the root. No call follows
// a symbolic link below the root: openat2 with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS where the
// kernel has it, else one openat with O_NOFOLLOW for each component.
//
// EnsureDir promises that the directory's own entry, and that of every directory above it, survives
// a power cut. A directory that merely exists proves nothing: a process that was killed between
// mkdir and fsync leaves one. So the first use of each directory syncs its parent, and the ones
// done are remembered. Making and removing directories exclude each other by one lock.
//
// Thread-safe.
#pragma once

#include <fcntl.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "core/result.h"
#include "store/unique_fd.h"

namespace varve::store {

struct RootedDirOptions {
  bool sync = true;
  bool openat2 = true;                                    // false: as on a kernel without it
  bool make_root = true;                                  // false: it must be there
  std::function<bool(std::string_view path)> keeps = {};  // though it is empty
};

class RootedDir {
 public:
  static constexpr size_t kDurableDirsMax = 65'536;

  // Makes root and the directories above it if they are missing and make_root is set.
  static Result<std::unique_ptr<RootedDir>> Open(const std::string& root, RootedDirOptions options);

  const std::string& path() const { return path_; }  // absolute, without symbolic links
  bool sync() const { return options_.sync; }

  // As openat: a closed UniqueFd and errno on failure. ELOOP, ENOTDIR: something is in the way.
  UniqueFd OpenAt(std::string_view path, int flags, mode_t mode = 0) const;

  // The directory at path, made if missing. kInvalid, INVALID_PATH: an object or a link is there.
  Result<UniqueFd> EnsureDir(std::string_view path);
  // Removes path and the directories above it for as long as they are empty and not to be
  // kept.
  void RemoveEmptyUpward(std::string_view path);
  // Removes the directories below and at path if no file is in them. False: one is.
  bool RemoveEmptyTree(std::string_view path);

  // SyncDirectory, unless syncing is switched off.
  void Sync(int fd, std::string_view doing) const;

 private:
  RootedDir(UniqueFd root, std::string path, RootedDirOptions options)
      : root_(std::move(root)), path_(std::move(path)), options_(options) {}

  UniqueFd OpenByOpenat2(const char* path, int flags, mode_t mode) const;
  UniqueFd OpenByComponents(std::string_view path, int flags, mode_t mode) const;
  Result<UniqueFd> MakeAndEnter(int parent, std::string_view path, size_t name_at);
  bool RemoveDir(std::string_view path);
  void RemoveEmptyUpwardLocked(std::string_view path);
  bool RemoveEmptyTreeLocked(std::string_view path);

  const UniqueFd root_;
  const std::string path_;
  const RootedDirOptions options_;

  std::mutex mutex_;
  std::unordered_set<std::string> durable_;  // guarded by mutex_: exist, and survive a power cut
};

// "a/b/c" -> {"a/b", "c"}; "c" -> {"", "c"}.
std::pair<std::string_view, std::string_view> SplitPath(std::string_view path);

}  // namespace varve::store
