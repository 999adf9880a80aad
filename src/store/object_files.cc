#include "store/object_files.h"

#include <dirent.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>

#include "core/bytes.h"
#include "core/crash_point.h"
#include "core/log.h"
#include "store/file_io.h"

namespace varve::store {
namespace {

const CrashPoint kTempWritten{"store.put.temp_written"};
const CrashPoint kSidecarSynced{"store.put.sidecar_synced"};
const CrashPoint kSidecarPublished{"store.put.sidecar_published"};
const CrashPoint kTempSynced{"store.put.temp_synced"};
const CrashPoint kBeforePublish{"store.put.before_publish"};
const CrashPoint kPublished{"store.put.published"};
const CrashPoint kUnlinked{"store.delete.unlinked"};
const CrashPoint kDeleteDurable{"store.delete.durable"};

constexpr std::string_view kMetaDir = ".varve/meta";
constexpr std::string_view kLockFile = ".varve/store.lock";
constexpr int kFindTriesMax = 4;
constexpr int kStampTriesMax = 16;
constexpr int kPublishTriesMax = 100;
constexpr int64_t kNsPerMs = 1'000'000;
constexpr uint64_t kHashBytes = uint64_t{1} << 20;

bool IsAbsence(int err) {
  return err == ENOENT || err == ENOTDIR || err == ELOOP || err == ENXIO || err == EISDIR ||
         err == ENAMETOOLONG;
}

bool SameFile(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         MtimeNs(a) == MtimeNs(b);
}

int64_t FloorMs(int64_t ns) { return ns >= 0 ? ns / kNsPerMs : -((-ns + kNsPerMs - 1) / kNsPerMs); }

ObjectMeta MetaOf(std::string_view key, const struct stat& file, ObjectRecord record) {
  ObjectMeta meta;
  meta.key = key;
  meta.size = static_cast<uint64_t>(file.st_size);
  meta.modified_ms = FloorMs(MtimeNs(file));
  meta.etag = std::move(record.etag);
  meta.content_type = std::move(record.content_type);
  meta.metadata = std::move(record.metadata);
  return meta;
}

std::string Doing(std::string_view what, std::string_view key) {
  return std::string(what) + " '" + std::string(key) + "'";
}

std::string InMeta(const std::string& name) { return std::string(kMetaDir) + "/" + name; }

// The names in a directory of varve's own.
std::vector<std::string> Names(const RootedDir& root, std::string_view directory) {
  std::vector<std::string> names;
  UniqueFd fd = root.OpenAt(directory, O_RDONLY | O_DIRECTORY);
  if (!fd.ok()) return names;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(fdopendir(fd.get()), closedir);
  if (entries == nullptr) return names;
  fd.Release();
  while (const dirent* entry = readdir(entries.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

}  // namespace

Result<std::unique_ptr<ObjectFiles>> ObjectFiles::Open(const LocalStoreOptions& options,
                                                       const Clock& clock) {
  RootedDirOptions dir_options;
  dir_options.sync = options.fsync;
  dir_options.openat2 = !options.portable_calls_only;
  dir_options.make_root = !options.read_only;
  dir_options.keeps = options.keeps;
  auto root = TRY(RootedDir::Open(options.root, dir_options));
  std::unique_ptr<ObjectFiles> files(new ObjectFiles(std::move(root), options, clock));
  if (options.read_only) return files;
  TRY(files->root_->EnsureDir(kTempDir));
  TRY(files->root_->EnsureDir(kMetaDir));
  TRY(files->LockAndSweep());
  return files;
}

// Everyone in the directory holds the lock shared; who gets it alone knows that nobody's unfinished
// files are there, only those of processes that were killed.
Status ObjectFiles::LockAndSweep() {
  lock_ = root_->OpenAt(kLockFile, O_RDWR | O_CREAT, 0644);
  if (!lock_.ok()) return FileError(errno, "open " + root_->path() + "/" + std::string(kLockFile));
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) {
    SweepTemp();
    SweepSidecars();
  }
  while (flock(lock_.get(), LOCK_SH) != 0) {
    if (errno != EINTR) return FileError(errno, "lock " + std::string(kLockFile));
  }
  return {};
}

void ObjectFiles::SweepTemp() {
  const UniqueFd directory = root_->OpenAt(kTempDir, O_RDONLY | O_DIRECTORY);
  if (!directory.ok()) return;
  for (const std::string& name : Names(*root_, kTempDir)) {
    unlinkat(directory.get(), name.c_str(), 0);
  }
}

void ObjectFiles::SweepSidecars() {
  for (const std::string& name : Names(*root_, kMetaDir)) {
    const auto record = ReadSidecar(name);
    if (record && CheckKey(record->key).ok()) {
      const auto found = Find(record->key);
      if (found.ok() && found->sidecar == name) continue;
      if (!found.ok() && found.error().kind != ErrorKind::kNotFound) continue;
    }
    RemoveSidecar(name);
  }
}

std::optional<ObjectRecord> ObjectFiles::ReadSidecar(const std::string& name) const {
  const UniqueFd fd = root_->OpenAt(InMeta(name), O_RDONLY | O_NONBLOCK);
  struct stat st {};
  if (!fd.ok() || fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) return std::nullopt;
  const auto size = static_cast<uint64_t>(st.st_size);
  if (size > kRecordBytesMax) return std::nullopt;
  const auto bytes = ReadExactly(fd.get(), 0, size, "read a record");
  return bytes.ok() ? DecodeRecord(*bytes) : std::nullopt;
}

Result<ObjectFiles::Found> ObjectFiles::Find(std::string_view key) const {
  for (int i = 0;; ++i) {
    Found found;
    found.file = root_->OpenAt(key, O_RDONLY | O_NONBLOCK);
    struct stat st {};
    if (!found.file.ok()) {
      if (IsAbsence(errno)) return NoSuchObject(key);
      return FileError(errno, Doing("open", key));
    }
    if (fstat(found.file.get(), &st) != 0) return FileError(errno, Doing("stat", key));
    if (!S_ISREG(st.st_mode)) return NoSuchObject(key);

    auto record = portable_ ? std::nullopt : ReadRecordAttribute(found.file.get());
    if (!record || !record->Describes(st)) {
      std::string name = SidecarName(key, static_cast<uint64_t>(st.st_size), MtimeNs(st));
      record = ReadSidecar(name);
      if (record && record->key == key) found.sidecar = std::move(name);
    }
    if (record && record->Describes(st) && (found.sidecar.empty() || record->key == key)) {
      found.meta = MetaOf(key, st, std::move(*record));
      return found;
    }
    // No record: another program's file, unless a put has just replaced it and its sidecar.
    const UniqueFd again = root_->OpenAt(key, O_RDONLY | O_NONBLOCK);
    struct stat now {};
    const bool same = again.ok() && fstat(again.get(), &now) == 0 && SameFile(st, now);
    if (!same && i + 1 < kFindTriesMax) continue;
    ObjectRecord foreign;
    foreign.etag = ForeignEtag(st);
    foreign.content_type = ContentTypeOf(key);
    found.meta = MetaOf(key, st, std::move(foreign));
    return found;
  }
}

Result<ObjectFiles::Draft> ObjectFiles::Write(std::string_view key, std::string_view bytes,
                                              const PutOptions& options) {
  const std::string doing = Doing("put", key);
  Draft draft{TRY(TempFile::Create(*root_, !portable_)), ObjectMeta{}, std::string()};
  draft.meta.key = key;
  draft.meta.size = bytes.size();
  draft.meta.etag = Md5Hex(bytes);
  TRY(WriteAll(draft.file.fd(), bytes, doing));
  kTempWritten.Hit();
  TRY(StampAndSync(draft, options));
  return draft;
}

Result<std::string> ObjectFiles::DigestOf(const Draft& draft, const std::string& doing) {
  Md5Stream digest;
  for (uint64_t at = 0; at < draft.meta.size;) {
    const uint64_t size = std::min(kHashBytes, draft.meta.size - at);
    digest.Add(TRY(ReadExactly(draft.file.fd(), at, size, doing)));
    at += size;
  }
  return digest.Hex();
}

Result<std::optional<ObjectFiles::Draft>> ObjectFiles::Adopt(std::string_view key,
                                                             const std::string& path,
                                                             const PutOptions& options) {
  const std::string doing = Doing("put", key);
  Draft draft{TRY(TempFile::Adopt(path, !portable_)), ObjectMeta{}, std::string()};
  const UniqueFd temp = TRY(root_->EnsureDir(kTempDir));
  struct stat here {
  }, there{};
  if (fstat(temp.get(), &here) != 0 || fstat(draft.file.fd(), &there) != 0) {
    return FileError(errno, doing);
  }
  if (!S_ISREG(there.st_mode) || here.st_dev != there.st_dev) return std::optional<Draft>();
  draft.meta.key = key;
  draft.meta.size = static_cast<uint64_t>(there.st_size);
  draft.meta.etag = options.digest.empty() ? TRY(DigestOf(draft, doing)) : options.digest;
  TRY(StampAndSync(draft, options));
  return std::optional<Draft>(std::move(draft));
}

Status ObjectFiles::StampAndSync(Draft& draft, const PutOptions& options) {
  Status done = Stamp(draft, options);
  if (done.ok() && root_->sync()) {
    done = SyncNewFile(draft.file.fd(), Doing("put", draft.meta.key));
  }
  if (!done.ok()) {
    Discard(draft);
    return done;
  }
  kTempSynced.Hit();
  return {};
}

// Sets the file's time from our clock and writes the record that names it. The digits below the
// millisecond tell apart two versions of the same size in the same millisecond.
Status ObjectFiles::Stamp(Draft& draft, const PutOptions& options) {
  const std::string doing = Doing("put", draft.meta.key);
  for (int i = 0; i < kStampTriesMax; ++i) {
    const int64_t below_ms = (clock_.MonotonicNs() + stamps_.fetch_add(1)) % kNsPerMs;
    const int64_t ns = clock_.NowMs() * kNsPerMs + below_ms;
    const timespec times[2] = {{0, UTIME_OMIT}, {ns / 1'000'000'000, ns % 1'000'000'000}};
    struct stat st {};
    if (futimens(draft.file.fd(), times) != 0 || fstat(draft.file.fd(), &st) != 0) {
      return FileError(errno, doing);
    }
    ObjectRecord record;
    record.key = draft.meta.key;
    record.size = draft.meta.size;
    record.mtime_ns = MtimeNs(st);
    record.etag = draft.meta.etag;
    record.content_type = options.content_type;
    record.metadata = options.metadata;
    const std::string encoded = EncodeRecord(record);
    bool written = !portable_ && TRY(WriteRecordAttribute(draft.file.fd(), encoded));
    if (!written) {
      std::string name = SidecarName(record.key, record.size, record.mtime_ns);
      written = TRY(WriteSidecar(name, encoded));
      if (written) draft.sidecar = std::move(name);
    }
    if (written) {
      draft.meta = MetaOf(draft.meta.key, st, std::move(record));
      return {};
    }
  }
  return MakeError(ErrorKind::kRetryable, "STORE_BUSY",
                   doing + ": too many versions at once for this file system's clock");
}

// False: there is one of this name.
Result<bool> ObjectFiles::WriteSidecar(const std::string& name, std::string_view encoded) {
  CHECK(encoded.size() <= kRecordBytesMax);
  TempFile file = TRY(TempFile::Create(*root_, !portable_));
  TRY(WriteAll(file.fd(), encoded, "write a record"));
  if (root_->sync()) TRY(SyncNewFile(file.fd(), "write a record"));
  kSidecarSynced.Hit();
  const UniqueFd meta = TRY(root_->EnsureDir(kMetaDir));
  const int err = file.PublishNew(meta.get(), name);
  if (err == EEXIST) return false;
  if (err != 0) return FileError(err, "write a record");
  root_->Sync(meta.get(), "sync the records");
  kSidecarPublished.Hit();
  return true;
}

// What stands at the key's place: nothing, an object that may be replaced, or an error.
Status ObjectFiles::MakeWay(int directory, std::string_view key, bool only_if_absent) {
  struct stat st {};
  const std::string name(SplitPath(key).second);
  if (fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return FileError(errno, Doing("put", key));
  }
  if (S_ISREG(st.st_mode)) {
    if (only_if_absent) return PreconditionFailed(key, "the object exists");
    return {};
  }
  if (S_ISDIR(st.st_mode) && root_->RemoveEmptyTree(key)) return {};
  return MakeError(
      ErrorKind::kInvalid, "INVALID_PATH",
      Doing("put", key) + (S_ISDIR(st.st_mode) ? ": it is a folder of other objects, and in a "
                                                 "directory store it cannot also be an object"
                                               : ": a link or special file is in its place"));
}

Status ObjectFiles::Publish(Draft& draft, bool only_if_absent) {
  const std::string& key = draft.meta.key;
  const auto [parent, name_view] = SplitPath(key);
  const std::string name(name_view);
  for (int i = 0; i < kPublishTriesMax; ++i) {
    const UniqueFd directory = TRY(root_->EnsureDir(parent));
    TRY(MakeWay(directory.get(), key, only_if_absent));
    kBeforePublish.Hit();
    const int err = only_if_absent ? draft.file.PublishNew(directory.get(), name)
                                   : draft.file.PublishOver(directory.get(), name);
    if (err == 0) {
      kPublished.Hit();
      root_->Sync(directory.get(), Doing("sync the directory of", key));
      return {};
    }
    // ENOENT: a delete has just removed the empty directory. The rest: something came between.
    if (err != ENOENT && err != EEXIST && err != EISDIR && err != ENOTEMPTY) {
      return FileError(err, Doing("put", key));
    }
  }
  return MakeError(ErrorKind::kRetryable, "STORE_BUSY",
                   Doing("put", key) + ": its directory is removed again and again");
}

void ObjectFiles::Discard(Draft& draft) {
  if (!draft.sidecar.empty()) RemoveSidecar(draft.sidecar);
  root_->RemoveEmptyUpward(SplitPath(draft.meta.key).first);
}

Result<bool> ObjectFiles::Remove(std::string_view key) {
  const auto [parent, name] = SplitPath(key);
  auto found = Find(key);
  if (!found.ok()) {
    if (found.error().kind == ErrorKind::kNotFound) return false;
    return std::move(found).error();
  }
  const UniqueFd directory = root_->OpenAt(parent, O_RDONLY | O_DIRECTORY);
  if (!directory.ok() || unlinkat(directory.get(), std::string(name).c_str(), 0) != 0) {
    if (IsAbsence(errno)) return false;
    return FileError(errno, Doing("delete", key));
  }
  kUnlinked.Hit();
  root_->Sync(directory.get(), Doing("sync the directory of", key));
  kDeleteDurable.Hit();
  if (!found->sidecar.empty()) RemoveSidecar(found->sidecar);
  root_->RemoveEmptyUpward(parent);
  return true;
}

void ObjectFiles::RemoveSidecar(const std::string& name) {
  const UniqueFd meta = root_->OpenAt(kMetaDir, O_RDONLY | O_DIRECTORY);
  if (meta.ok()) unlinkat(meta.get(), name.c_str(), 0);
}

}  // namespace varve::store
