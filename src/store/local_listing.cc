#include "store/local_listing.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "store/file_io.h"
#include "store/object_store.h"

namespace varve::store {
namespace {

constexpr size_t kPathBytesMax = 1024;  // a key's bound, which is also a bound on the depth

enum class EntryKind { kFile, kDirectory, kOther };

EntryKind KindOf(int directory, const dirent& entry) {
  switch (entry.d_type) {
    case DT_REG:
      return EntryKind::kFile;
    case DT_DIR:
      return EntryKind::kDirectory;
    case DT_UNKNOWN:
      break;
    default:
      return EntryKind::kOther;
  }
  struct stat st {};
  if (fstatat(directory, entry.d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) return EntryKind::kOther;
  if (S_ISREG(st.st_mode)) return EntryKind::kFile;
  return S_ISDIR(st.st_mode) ? EntryKind::kDirectory : EntryKind::kOther;
}

std::string_view WithoutSlash(std::string_view path) {
  return path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
}

}  // namespace

Result<std::vector<std::string>> LocalListing::Keys(size_t keys_max) {
  keys_max_ = keys_max;
  const std::string directory = prefix_.substr(0, prefix_.rfind('/') + 1);
  // No key begins with something that is no path, such as "../" or "a//".
  if (directory.empty() || CheckKey(WithoutSlash(directory)).ok()) TRY(Walk(directory));
  return std::move(keys_);
}

Status LocalListing::Walk(const std::string& directory) {
  std::string after;
  for (;;) {
    const Batch batch = TRY(Scan(directory, after));
    for (const std::string& name : batch.names) {
      if (room() == 0) return {};
      if (name.ends_with('/')) {
        TRY(Walk(directory + name));
      } else {
        keys_.push_back(directory + name);
      }
    }
    if (!batch.more || room() == 0) return {};
    after = batch.names.back();
  }
}

Result<LocalListing::Batch> LocalListing::Scan(const std::string& directory,
                                               const std::string& after) const {
  UniqueFd fd = root_.OpenAt(WithoutSlash(directory), O_RDONLY | O_DIRECTORY);
  if (!fd.ok()) {
    // Removed since it was seen, or replaced by something that holds no keys.
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return Batch{};
    return FileError(errno, "list '" + directory + "'");
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(fdopendir(fd.get()), closedir);
  if (entries == nullptr) return FileError(errno, "list '" + directory + "'");
  const int directory_fd = fd.Release();

  Batch batch;
  std::string path = directory;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(entries.get());
    if (entry == nullptr) break;
    const EntryKind kind = KindOf(directory_fd, *entry);
    if (kind == EntryKind::kOther) continue;
    const bool is_directory = kind == EntryKind::kDirectory;
    path.resize(directory.size());
    path += entry->d_name;
    if (is_directory) path += '/';
    const std::string_view name = std::string_view(path).substr(directory.size());
    if (name <= after || !Wanted(path, is_directory)) continue;
    if (batch.names.size() == room()) {
      batch.more = true;
      if (name >= batch.names.front()) continue;
      std::pop_heap(batch.names.begin(), batch.names.end());
      batch.names.pop_back();
    }
    batch.names.emplace_back(name);
    std::push_heap(batch.names.begin(), batch.names.end());
  }
  if (errno != 0) return FileError(errno, "list '" + directory + "'");
  std::sort_heap(batch.names.begin(), batch.names.end());
  return batch;
}

bool LocalListing::Wanted(std::string_view path, bool is_directory) const {
  if (path.size() > kPathBytesMax) return false;
  if (is_directory) {
    const std::string_view common = std::string_view(prefix_).substr(0, path.size());
    if (!path.starts_with(common)) return false;
    if (path <= start_after_ && !start_after_.starts_with(path)) return false;
  } else if (!path.starts_with(prefix_) || path <= start_after_) {
    return false;
  }
  return CheckKey(WithoutSlash(path)).ok();  // also hides ".", ".." and .varve
}

}  // namespace varve::store
