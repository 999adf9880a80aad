#include "ingest/event_id_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "core/bytes.h"
#include "core/crash_point.h"
#include "core/log.h"
#include "fmt/format.h"
#include "store/file_io.h"

namespace varve::ingest {
namespace {

const CrashPoint kFileMade{"flush.ids_file_made"};
const CrashPoint kWritten{"flush.ids_written"};
const CrashPoint kSynced{"flush.ids_synced"};

constexpr uint32_t kMagic = 0x31495656;  // "VVI1"
constexpr std::string_view kSuffix = ".ids";
constexpr uint64_t kBlockIds = 65'536;  // a block ends with the record that fills it
constexpr uint64_t kFilesOfIdsMax = 16;
constexpr int64_t kFilesOfWindow = 24;

struct BlockHeader {
  uint32_t magic;
  uint32_t crc;  // of the rest of the header, and the ids
  uint64_t owner;
  uint64_t upto;  // the last record with ids in it, all of which are in this block or before
  int64_t newest_ms;
  uint64_t count;
};
static_assert(sizeof(BlockHeader) == 40);
constexpr size_t kCrcFrom = offsetof(BlockHeader, owner);

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

Status SyncDirectoryAt(const std::string& path) {
  const Descriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) return ErrnoError(errno, "open directory " + path);
  store::SyncDirectory(directory.get(), "sync " + path);
  return {};
}

Result<std::vector<std::string>> FilesIn(const std::string& directory) {
  std::error_code failed;
  std::filesystem::create_directories(directory, failed);
  std::vector<std::string> paths;
  std::filesystem::directory_iterator entry(directory, failed);
  for (; !failed && entry != std::filesystem::directory_iterator(); entry.increment(failed)) {
    if (entry->path().extension() == kSuffix) paths.push_back(entry->path().string());
  }
  if (failed) return ErrnoError(failed.value(), "list " + directory);
  std::ranges::sort(paths);  // names are LSNs of one width
  return paths;
}

}  // namespace

uint64_t EventIdLog::Block::ids() const {
  return (bytes.size() - sizeof(BlockHeader)) / sizeof(Hash128);
}

EventIdLog::EventIdLog(EventIdLog&& other) noexcept
    : options_(other.options_),
      files_(std::move(other.files_)),
      fd_(std::exchange(other.fd_, -1)),
      persisted_(other.persisted_) {}

EventIdLog::~EventIdLog() { CloseFile(); }

void EventIdLog::CloseFile() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

Result<EventIdLog> EventIdLog::Open(EventIdLogOptions options, int64_t now_ms,
                                    const OnIds& on_ids) {
  EventIdLog log(std::move(options));
  for (const std::string& path : TRY(FilesIn(log.options_.directory))) {
    TRY(log.ReadFile(path, on_ids));
  }
  log.persisted_ = std::min(log.persisted_, log.options_.last_lsn);
  log.RemoveOld(now_ms);
  return log;
}

// The file stays open for more if it is whole.
Status EventIdLog::ReadFile(const std::string& path, const OnIds& on_ids) {
  CloseFile();
  fd_ = open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
  struct stat info {};
  if (fd_ < 0 || fstat(fd_, &info) != 0) return ErrnoError(errno, "open " + path);
  const auto end = static_cast<uint64_t>(info.st_size);
  File file{path};
  uint64_t at = 0;
  while (at < end && TRY(ReadBlock(fd_, &at, end, &file, on_ids))) {
  }
  if (at < end) {
    LogWarn("ingest.event_ids_cut", {{"path", path}, {"at", at}, {"bytes", end - at}});
    CloseFile();
  }
  if (file.ids > 0) {
    files_.push_back(std::move(file));
    return {};
  }
  CloseFile();
  if (unlink(path.c_str()) != 0) return ErrnoError(errno, "remove " + path);
  return {};
}

// False: there is no whole block of ours.
Result<bool> EventIdLog::ReadBlock(int fd, uint64_t* at, uint64_t end, File* file,
                                   const OnIds& on_ids) {
  if (end - *at < sizeof(BlockHeader)) return false;
  const std::string head = TRY(store::ReadExactly(fd, *at, sizeof(BlockHeader), file->path));
  BlockHeader header;
  std::memcpy(&header, head.data(), sizeof header);
  const uint64_t rest = end - *at - sizeof header;
  if (header.magic != kMagic || header.owner != options_.owner) return false;
  if (header.count == 0 || header.count > rest / sizeof(Hash128)) return false;
  const uint64_t bytes = header.count * sizeof(Hash128);
  const std::string ids = TRY(store::ReadExactly(fd, *at + sizeof header, bytes, file->path));
  if (Crc32c(ids, Crc32c(std::string_view(head).substr(kCrcFrom))) != header.crc) return false;
  *at += sizeof header + bytes;
  if (file->ids == 0) file->first_ms = header.newest_ms;
  file->ids += header.count;
  file->newest_ms = std::max(file->newest_ms, header.newest_ms);
  persisted_ = std::max(persisted_, header.upto);
  std::vector<Hash128> hashes(header.count);
  std::memcpy(hashes.data(), ids.data(), ids.size());
  on_ids(hashes, header.newest_ms);
  return true;
}

Status EventIdLog::Append(const std::vector<journal::Record>& records, int64_t now_ms) {
  Status done = AppendBlocks(records, now_ms);
  if (!done.ok()) CloseFile();  // what it ends with is not known
  RemoveOld(now_ms);
  return done;
}

Status EventIdLog::AppendBlocks(const std::vector<journal::Record>& records, int64_t now_ms) {
  Block block{std::string(sizeof(BlockHeader), '\0')};
  journal::Lsn upto = persisted_;
  for (const journal::Record& record : records) {
    if (record.event_ids.empty() || record.lsn <= persisted_) continue;
    const bool is_first = upto == persisted_;  // one file, and so one sync, for all of them
    if (is_first && (fd_ < 0 || IsFull(files_.back(), now_ms))) {
      TRY(StartFile(record.lsn, now_ms));
    }
    for (const Hash128& id : record.event_ids) {
      if (id != Hash128()) block.bytes.append(reinterpret_cast<const char*>(&id), sizeof id);
    }
    block.upto = record.lsn;
    block.newest_ms = std::max(block.newest_ms, std::min(record.received_ms, now_ms));
    if (block.ids() >= kBlockIds) TRY(WriteBlock(&block));
    upto = record.lsn;
  }
  if (upto == persisted_) return {};
  if (block.ids() > 0) TRY(WriteBlock(&block));
  kWritten.Hit();
  TRY(store::SyncNewFile(fd_, "sync " + files_.back().path));
  kSynced.Hit();
  persisted_ = upto;
  return {};
}

bool EventIdLog::IsFull(const File& file, int64_t now_ms) const {
  const int64_t slice_ms = static_cast<int64_t>(options_.window_ms) / kFilesOfWindow;
  return file.ids > options_.ids_max / kFilesOfIdsMax || now_ms - file.first_ms > slice_ms;
}

Status EventIdLog::StartFile(journal::Lsn first, int64_t now_ms) {
  CloseFile();
  File file{fmt::format("{}/{:020}{}", options_.directory, first, kSuffix), 0, now_ms, now_ms};
  // Of this name there can only be one without a block that counts: a failure has left it, or it is
  // newer than the backup that the journal was restored from.
  std::erase_if(files_, [&](const File& other) { return other.path == file.path; });
  fd_ = open(file.path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (fd_ < 0) return ErrnoError(errno, "create " + file.path);
  files_.push_back(std::move(file));
  TRY(SyncDirectoryAt(options_.directory));
  kFileMade.Hit();
  return {};
}

Status EventIdLog::WriteBlock(Block* block) {
  BlockHeader header{};
  header.magic = kMagic;
  header.owner = options_.owner;
  header.upto = block->upto;
  header.newest_ms = block->newest_ms;
  header.count = block->ids();
  std::memcpy(block->bytes.data(), &header, sizeof header);
  header.crc = Crc32c(std::string_view(block->bytes).substr(kCrcFrom));
  std::memcpy(block->bytes.data(), &header, sizeof header);
  TRY(store::WriteAll(fd_, block->bytes, "write " + files_.back().path));
  files_.back().ids += header.count;
  files_.back().newest_ms = std::max(files_.back().newest_ms, header.newest_ms);
  block->bytes.resize(sizeof header);
  return {};
}

// One that cannot be removed costs its space only, and is tried again when it is read next.
void EventIdLog::RemoveOld(int64_t now_ms) {
  uint64_t ids = 0;
  for (const File& file : files_) ids += file.ids;
  while (files_.size() > 1) {
    const File& oldest = files_.front();
    const bool over = oldest.newest_ms + static_cast<int64_t>(options_.window_ms) <= now_ms;
    if (!over && ids - oldest.ids < options_.ids_max) break;
    if (unlink(oldest.path.c_str()) != 0) {
      LogWarn("ingest.event_ids_not_removed", {{"path", oldest.path}, {"errno", errno}});
    }
    ids -= oldest.ids;
    files_.pop_front();
  }
}

}  // namespace varve::ingest
