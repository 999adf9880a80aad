#include "store/directory_names.h"

#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <utility>

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

// The first names in order of those that it is given, as many as memory allows.
class FirstNames {
 public:
  explicit FirstNames(std::string_view from) { out_.from = from; }

  bool Wants(std::string_view name) const {
    return name >= out_.from && (!out_.more || name < cut_);
  }
  void Add(std::string_view name) {
    out_.names.emplace_back(name);
    std::push_heap(out_.names.begin(), out_.names.end());
    bytes_ += CostOf(name);
    while (bytes_ > DirectoryReader::kNamesBytesMax && out_.names.size() > 1) {
      std::pop_heap(out_.names.begin(), out_.names.end());
      cut_ = std::move(out_.names.back());
      out_.names.pop_back();
      out_.more = true;
      bytes_ -= CostOf(cut_);
    }
  }
  DirectoryNames Take() && {
    std::sort_heap(out_.names.begin(), out_.names.end());
    return std::move(out_);
  }

 private:
  static size_t CostOf(std::string_view name) { return sizeof(std::string) + name.size(); }
  DirectoryNames out_;
  std::string cut_;  // the least that was left out
  size_t bytes_ = 0;
};

// Takes the descriptor's place in the directory; the descriptor stays the caller's.
Status ReadNames(int fd, const std::string& directory, FirstNames& names) {
  UniqueFd own(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!own.ok()) return FileError(errno, "list '" + directory + "'");
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(fdopendir(own.get()), closedir);
  if (entries == nullptr) return FileError(errno, "list '" + directory + "'");
  own.Release();
  std::string path = directory;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(entries.get());
    if (entry == nullptr) break;
    const EntryKind kind = KindOf(fd, *entry);
    if (kind == EntryKind::kOther) continue;
    path.resize(directory.size());
    path += entry->d_name;
    if (kind == EntryKind::kDirectory) path += '/';
    const std::string_view name = std::string_view(path).substr(directory.size());
    if (!names.Wants(name) || path.size() > kPathBytesMax) continue;
    if (CheckKey(WithoutSlash(path)).ok()) names.Add(name);  // also hides ".", ".." and .varve
  }
  return errno == 0 ? Status() : FileError(errno, "list '" + directory + "'");
}

}  // namespace

DirectoryReader::Version DirectoryReader::VersionOf(const struct stat& info) {
  return {info.st_dev, info.st_ino,
          static_cast<int64_t>(info.st_ctim.tv_sec) * 1'000'000'000 + info.st_ctim.tv_nsec};
}

Result<std::shared_ptr<const DirectoryNames>> DirectoryReader::Names(const std::string& directory,
                                                                     std::string_view from) {
  const UniqueFd fd = root_.OpenAt(WithoutSlash(directory), O_RDONLY | O_DIRECTORY);
  if (!fd.ok()) {
    // Removed since it was seen, or replaced by something that holds no keys.
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) {
      return std::make_shared<const DirectoryNames>();
    }
    return FileError(errno, "list '" + directory + "'");
  }
  struct stat before {
  }, after{};
  if (fstat(fd.get(), &before) != 0) return FileError(errno, "list '" + directory + "'");
  const Version version = VersionOf(before);
  if (auto kept = Find(version, from)) return kept;
  const int64_t started_ms = clock_.NowMs();
  FirstNames first(from);
  TRY(ReadNames(fd.get(), directory, first));
  auto names = std::make_shared<const DirectoryNames>(std::move(first).Take());
  const bool settled = started_ms - version.changed_ns / 1'000'000 >= kSettledMs;
  if (settled && names->names.size() >= kKeptNamesMin && fstat(fd.get(), &after) == 0 &&
      VersionOf(after) == version) {
    Keep(version, names);
  }
  return names;
}

std::shared_ptr<const DirectoryNames> DirectoryReader::Find(const Version& version,
                                                            std::string_view from) {
  const std::lock_guard lock(mutex_);
  for (auto it = kept_.begin(); it != kept_.end(); ++it) {
    if (it->version != version || it->names->from > from) continue;
    if (it->names->more && it->names->names.back() < from) continue;
    kept_.splice(kept_.begin(), kept_, it);
    return it->names;
  }
  ++reads_;
  return nullptr;
}

void DirectoryReader::Keep(const Version& version, std::shared_ptr<const DirectoryNames> names) {
  const std::lock_guard lock(mutex_);
  // Of one directory one stretch: whoever pages through it has left the others behind.
  kept_.remove_if([&](const Kept& kept) {
    return kept.version.device == version.device && kept.version.inode == version.inode;
  });
  kept_.push_front({version, std::move(names)});
  if (kept_.size() > kKeptMax) kept_.pop_back();
}

uint64_t DirectoryReader::reads() const {
  const std::lock_guard lock(mutex_);
  return reads_;
}

}  // namespace varve::store
