#include "journal/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "core/check.h"
#include "fmt/format.h"

namespace varve::journal {
namespace {

constexpr uint64_t kZeroWriteBytes = 1 << 20;
constexpr uint64_t kZeroSyncBytes = 8 << 20;  // in pieces: a round's fdatasync waits behind one
constexpr std::string_view kSegmentSuffix = ".segment";
constexpr uint64_t kSmallestRecordBytes = sizeof(RecordHeader);

Status WriteAll(int fd, std::string_view bytes, uint64_t at, const std::string& doing) {
  while (!bytes.empty()) {
    ssize_t n = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return ErrnoError(n < 0 ? errno : EIO, doing);
    bytes.remove_prefix(static_cast<size_t>(n));
    at += static_cast<uint64_t>(n);
  }
  return {};
}

}  // namespace

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(read_fd_, other.read_fd_);
  std::swap(base_, other.base_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (base_ != nullptr) munmap(const_cast<char*>(base_), bytes_);
  if (fd_ >= 0) close(fd_);
  if (read_fd_ >= 0) close(read_fd_);
}

Status MappedFile::Map(const std::string& path, uint64_t bytes) {
  read_fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (read_fd_ < 0) return ErrnoError(errno, "open journal segment " + path);
  void* base = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd_, 0);
  if (base == MAP_FAILED) return ErrnoError(errno, "map journal segment " + path);
  base_ = static_cast<const char*>(base);
  bytes_ = bytes;
  return {};
}

Result<MappedFile> MappedFile::CreateZeroed(const std::string& path, uint64_t bytes) {
  std::string doing = "prepare journal segment " + path;
  MappedFile file;
  file.fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (file.fd_ < 0) return ErrnoError(errno, doing);
  std::string zeros(std::min(bytes, kZeroWriteBytes), '\0');
  for (uint64_t at = 0; at < bytes; at += zeros.size()) {
    TRY(WriteAll(file.fd_, std::string_view(zeros).substr(0, bytes - at), at, doing));
    bool piece_ends = (at + zeros.size()) % kZeroSyncBytes == 0;
    if (piece_ends && fdatasync(file.fd_) != 0) return ErrnoError(errno, doing);
  }
  if (fsync(file.fd_) != 0) return ErrnoError(errno, doing);
  TRY(file.Map(path, bytes));
  return file;
}

Result<MappedFile> MappedFile::Open(const std::string& path, uint64_t bytes) {
  std::string doing = "open journal segment " + path;
  MappedFile file;
  file.fd_ = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file.fd_ < 0) return ErrnoError(errno, doing);
  struct stat status;
  if (fstat(file.fd_, &status) != 0) return ErrnoError(errno, doing);
  if (static_cast<uint64_t>(status.st_size) != bytes &&
      ftruncate(file.fd_, static_cast<off_t>(bytes)) != 0) {
    return ErrnoError(errno, doing);
  }
  TRY(file.Map(path, bytes));
  return file;
}

Result<MappedFile> MappedFile::OpenToRead(const std::string& path, uint64_t bytes) {
  std::string doing = "open journal segment " + path;
  MappedFile file;
  file.fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (file.fd_ < 0 || fstat(file.fd_, &status) != 0) return ErrnoError(errno, doing);
  // Zeros everywhere, and the file's pages over them: a page that the file lacks must not fault.
  void* base = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return ErrnoError(errno, "map journal segment " + path);
  file.base_ = static_cast<const char*>(base);
  file.bytes_ = bytes;
  const uint64_t present = std::min(bytes, static_cast<uint64_t>(status.st_size));
  if (present > 0 &&
      mmap(base, present, PROT_READ, MAP_SHARED | MAP_FIXED, file.fd_, 0) == MAP_FAILED) {
    return ErrnoError(errno, "map journal segment " + path);
  }
  return file;
}

Status MappedFile::WriteDurably(std::string_view bytes, uint64_t at) {
  TRY(WriteAll(fd_, bytes, at, "write a journal segment's header"));
  if (fdatasync(fd_) != 0) return ErrnoError(errno, "sync a journal segment's header");
  return {};
}

void MappedFile::DropPages() const { madvise(const_cast<char*>(base_), bytes_, MADV_DONTNEED); }

Segment::Segment(std::string path, MappedFile file, SegmentIdentity identity)
    : path_(std::move(path)), file_(std::move(file)), identity_(identity) {
  chunks_.resize(identity_.bytes / kSmallestRecordBytes / kChunkEntries + 1);
}

void Segment::Publish(Lsn first_lsn_of_entries, const std::vector<IndexEntry>& entries) {
  uint32_t count = published_.load(std::memory_order_relaxed);
  if (count == 0) first_lsn_.store(first_lsn_of_entries, std::memory_order_release);
  CHECK(first_lsn() + count == first_lsn_of_entries);
  for (const IndexEntry& entry : entries) {
    std::unique_ptr<Chunk>& chunk = chunks_[count / kChunkEntries];
    if (chunk == nullptr) chunk = std::make_unique<Chunk>();
    (*chunk)[count % kChunkEntries] = entry;
    ++count;
  }
  published_.store(count, std::memory_order_release);
}

Record Segment::View(uint32_t i) const {
  const IndexEntry& e = entry(i);
  const char* at = file_.base() + e.offset + sizeof(RecordHeader);
  Record record;
  record.lsn = first_lsn() + i;
  record.kind = static_cast<record::RecordKind>(e.kind);
  record.ns = *e.ns;
  record.received_ms = e.received_ms;
  record.events = {reinterpret_cast<const record::EventRef*>(at), e.event_count};
  at += e.event_count * sizeof(record::EventRef);
  if (e.has_event_ids) {
    record.event_ids = {reinterpret_cast<const Hash128*>(at), e.event_count};
    at += e.event_count * sizeof(Hash128);
  }
  at += e.ns->size();
  record.batch_id = {at, e.batch_id_size};
  record.body = {at + e.batch_id_size, e.body_size};
  return record;
}

std::string SegmentPath(const std::string& directory, uint64_t epoch) {
  return fmt::format("{}/{:016x}{}", directory, epoch, kSegmentSuffix);
}

std::optional<uint64_t> EpochOfSegmentName(std::string_view name) {
  if (name.size() != 16 + kSegmentSuffix.size() || !name.ends_with(kSegmentSuffix)) {
    return std::nullopt;
  }
  uint64_t epoch = 0;
  auto [end, ec] = std::from_chars(name.data(), name.data() + 16, epoch, 16);
  if (ec != std::errc() || end != name.data() + 16) return std::nullopt;
  return epoch;
}

Status SyncDirectory(const std::string& directory) {
  int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoError(errno, "open directory " + directory);
  int rc = fsync(fd);
  int err = errno;
  close(fd);
  if (rc != 0) return ErrnoError(err, "sync directory " + directory);
  return {};
}

}  // namespace varve::journal
