#include "parquet/output_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "core/check.h"
#include "core/crash_point.h"
#include "core/huge_pages.h"
#include "core/leftovers.h"
#include "core/thread.h"

namespace varve::parquet {

namespace {

const CrashPoint kBeforeRename{"convert.before_rename"};

constexpr size_t kBlockBytes = 2 << 20;
constexpr size_t kBlocksMax = 12;  // handed over, not yet written
constexpr size_t kTempLetters = 6;
constexpr size_t kDiskAlign = 4096;  // of addresses and sizes that go past the page cache

// rsync's, too, have the name and six letters.
constexpr std::string_view kTempMark = ".varve-";

}  // namespace

OutputFile::OutputFile(const std::string& path, bool digested)
    : path_(path), directory_(std::filesystem::path(path).parent_path()) {
  if (directory_.empty()) directory_ = ".";
  if (digested) hash_.emplace();
}

OutputFile::~OutputFile() {
  StopWriter();
  if (fd_ >= 0) ::close(fd_);
  if (!temp_.empty()) ::unlink(temp_.c_str());
}

Status OutputFile::Open() {
  struct stat there {};
  if (::lstat(path_.c_str(), &there) == 0 && !S_ISREG(there.st_mode)) {
    return MakeError(ErrorKind::kInvalid, "NOT_A_FILE",
                     path_ + ": is there and is no regular file; it is not replaced");
  }
  std::string name = directory_ + "/." + std::filesystem::path(path_).filename().string() +
                     std::string(kTempMark) + "XXXXXX";
  fd_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd_ < 0) return ErrnoError(errno, "create a file in " + directory_);
  ::flock(fd_, LOCK_EX | LOCK_NB);  // as long as it is being written: RemoveLeftovers
  temp_ = std::move(name);
  direct_ = ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_DIRECT) == 0;
  const mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(fd_, 0666 & ~mask);
  writer_ = TRY(StartThread([this] { WriteBlocks(); }));
  return {};
}

// A size that is not aligned is the file's end: it goes through the page cache, as everything does
// from there on, and where the file system refuses.
Status OutputFile::WriteBlock(const Block& block) {
  std::string_view bytes(block.bytes.get(), block.size);
  auto leave_direct = [&] {
    ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) & ~O_DIRECT);
    direct_ = false;
  };
  while (!bytes.empty()) {
    if (direct_ && bytes.size() < kDiskAlign) leave_direct();
    const size_t count = direct_ ? bytes.size() / kDiskAlign * kDiskAlign : bytes.size();
    const ssize_t done = ::write(fd_, bytes.data(), count);
    if (done >= 0) {
      bytes.remove_prefix(static_cast<size_t>(done));
    } else if (errno == EINVAL && direct_) {
      leave_direct();
    } else if (errno != EINTR) {
      return ErrnoError(errno, "write " + path_);
    }
  }
  // The disk begins now, so that little is left for fsync to wait for.
  if (!direct_) ::sync_file_range(fd_, 0, 0, SYNC_FILE_RANGE_WRITE);
  return {};
}

void OutputFile::WriteBlocks() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stop_ || !handed_.empty(); });
    if (handed_.empty()) return;
    const Block& block = handed_.front();
    lock.unlock();
    auto written = WriteBlock(block);
    lock.lock();
    spare_.push_back(std::move(handed_.front()));
    handed_.pop_front();
    if (!written.ok() && error_.ok()) error_ = std::move(written);
    changed_.notify_all();
  }
}

OutputFile::Block OutputFile::NewBlock() {
  const std::lock_guard lock(mutex_);
  if (spare_.empty()) {
    Block block;
    block.bytes.reset(static_cast<char*>(AllocateHugePages(kBlockBytes)));
    CHECK(block.bytes != nullptr);
    return block;
  }
  Block block = std::move(spare_.back());
  spare_.pop_back();
  block.size = 0;
  return block;
}

Status OutputFile::HandOver() {
  // Here, and not by the writer: it waits for the disk.
  if (hash_) hash_->Add({block_.bytes.get(), block_.size});
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return handed_.size() < kBlocksMax; });
  if (block_.size > 0) handed_.push_back(std::exchange(block_, {}));
  changed_.notify_all();
  return error_;
}

Status OutputFile::Append(std::string_view bytes) {
  while (!bytes.empty()) {
    if (block_.bytes == nullptr) block_ = NewBlock();
    const size_t count = std::min(bytes.size(), kBlockBytes - block_.size);
    std::memcpy(block_.bytes.get() + block_.size, bytes.data(), count);
    block_.size += count;
    bytes.remove_prefix(count);
    if (block_.size == kBlockBytes) TRY(HandOver());
  }
  return {};
}

void OutputFile::StopWriter() {
  if (!writer_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  writer_.join();
}

Status OutputFile::Complete(bool sync) {
  auto handed = HandOver();
  if (!handed.ok()) return handed;
  StopWriter();
  if (!error_.ok()) return error_;
  if (sync && ::fsync(fd_) != 0) return ErrnoError(errno, "fsync " + path_);
  block_ = {};
  spare_.clear();
  complete_ = true;
  return {};
}

std::string OutputFile::Digest() const { return hash_ ? hash_->Text() : ""; }

void OutputFile::RemoveLeftovers(const std::string& path) {
  const OutputFile file(path);
  const std::string begin = file.directory_ + "/." + std::filesystem::path(path).stem().string();
  RemoveUnlocked(file.directory_, [&](const std::string& left) {
    return left.starts_with(begin) && left.size() > begin.size() + kTempMark.size() &&
           left.find(kTempMark, begin.size()) == left.size() - kTempMark.size() - kTempLetters;
  });
}

// What a file system lacks is done in the next best way: the last leaves a moment in which
// another's file may appear, and be replaced.
Status OutputFile::Name(bool replace) {
  const char *from = temp_.c_str(), *to = path_.c_str();
  bool named = false;
  if (!replace) {
    named = ::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0;
    if (!named && errno != EEXIST && ::link(from, to) == 0) {
      ::unlink(from);
      named = true;
    }
    struct stat there {};
    if (!named && (errno == EEXIST || ::lstat(to, &there) == 0)) {
      return MakeError(ErrorKind::kConflict, "OUTPUT_EXISTS",
                       path_ + ": has appeared meanwhile; it is not replaced");
    }
  }
  if (!named && ::rename(from, to) != 0) return ErrnoError(errno, "rename to " + path_);
  temp_.clear();
  return {};
}

Status OutputFile::Publish(bool sync, bool replace) {
  if (!complete_) TRY(Complete(sync));
  // Before the rename: there may be no descriptor left for it.
  const int fd = sync ? ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  if (sync && fd < 0) return ErrnoError(errno, "open " + directory_);
  kBeforeRename.Hit();
  auto named = Name(replace);
  if (named.ok() && sync && ::fsync(fd) != 0) named = ErrnoError(errno, "fsync " + directory_);
  if (fd >= 0) ::close(fd);
  return named;
}

}  // namespace varve::parquet
