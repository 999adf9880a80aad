#include "record/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "core/crash_point.h"

namespace varve::record {

namespace {

const CrashPoint kBeforeRename{"convert.before_rename"};

constexpr size_t kBlockBytes = 4 << 20;

Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return ErrnoError(errno, "write " + path);
    bytes.remove_prefix(static_cast<size_t>(done));
  }
  return {};
}

}  // namespace

OutputFile::OutputFile(const std::string& path)
    : path_(path), directory_(std::filesystem::path(path).parent_path()) {
  if (directory_.empty()) directory_ = ".";
}

OutputFile::~OutputFile() {
  StopWriter();
  if (fd_ >= 0) ::close(fd_);
  if (!temp_.empty()) ::unlink(temp_.c_str());
}

Status OutputFile::Open() {
  std::string name =
      directory_ + "/." + std::filesystem::path(path_).filename().string() + ".XXXXXX";
  fd_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd_ < 0) return ErrnoError(errno, "create a file in " + directory_);
  temp_ = std::move(name);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(fd_, 0666 & ~mask);
  writer_ = std::thread([this] { WriteBlocks(); });
  return {};
}

void OutputFile::WriteBlocks() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stop_ || !handed_.empty(); });
    if (handed_.empty()) return;
    lock.unlock();
    auto written = WriteAll(fd_, handed_, path_);
    // The disk begins now, so that little is left for fsync to wait for.
    ::sync_file_range(fd_, 0, 0, SYNC_FILE_RANGE_WRITE);
    lock.lock();
    handed_.clear();
    if (!written.ok() && error_.ok()) error_ = std::move(written);
    changed_.notify_all();
  }
}

Status OutputFile::HandOver() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return handed_.empty(); });
  handed_.swap(block_);
  changed_.notify_all();
  return error_;
}

Status OutputFile::Append(std::string_view bytes) {
  block_.append(bytes);
  return block_.size() < kBlockBytes ? Status() : HandOver();
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

Status OutputFile::Publish(bool sync) {
  auto handed = HandOver();
  if (!handed.ok()) return handed;
  StopWriter();
  if (!error_.ok()) return error_;
  if (sync && ::fsync(fd_) != 0) return ErrnoError(errno, "fsync " + path_);
  kBeforeRename.Hit();
  if (::rename(temp_.c_str(), path_.c_str()) != 0) return ErrnoError(errno, "rename to " + path_);
  temp_.clear();
  if (!sync) return {};
  const int fd = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool good = fd >= 0 && ::fsync(fd) == 0;
  const int err = errno;
  if (fd >= 0) ::close(fd);
  return good ? Status() : Status(ErrnoError(err, "fsync " + directory_));
}

}  // namespace varve::record
