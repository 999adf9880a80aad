#include "app/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "app/commands.h"

namespace varve::app {
namespace {
constexpr size_t kBufferBytes = 1 << 16;
}

Result<std::unique_ptr<Output>> Output::Open(const std::string& path) {
  if (path.empty() || path == "-") return std::unique_ptr<Output>(new Output(STDOUT_FILENO, ""));
  std::string temporary = path + ".part";
  int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoError(errno, "create " + temporary);
  return std::unique_ptr<Output>(new Output(fd, path));
}

Output::~Output() {
  if (path_.empty()) return;
  close(fd_);
  if (!finished_) unlink((path_ + ".part").c_str());
}

bool Output::WriteAll(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR && !Interrupted()) continue;
    if (written < 0) {
      gone_ = errno == EPIPE;
      if (!gone_) errno_ = errno;
      return false;
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

bool Output::Write(std::string_view bytes) {
  if (gone_ || errno_ != 0) return false;
  buffer_ += bytes;
  if (buffer_.size() < kBufferBytes) return true;
  bool ok = WriteAll(buffer_);
  buffer_.clear();
  return ok;
}

Status Output::Finish() {
  if (!gone_ && errno_ == 0 && WriteAll(buffer_)) buffer_.clear();
  std::string name = path_.empty() ? "standard output" : path_;
  if (errno_ != 0) return ErrnoError(errno_, "write " + name);
  if (path_.empty()) return {};
  if (fsync(fd_) != 0) return ErrnoError(errno, "fsync " + name);
  if (rename((path_ + ".part").c_str(), path_.c_str()) != 0)
    return ErrnoError(errno, "rename " + name);
  finished_ = true;
  return {};
}

int WriteStdout(std::string_view text) {
  Result<std::unique_ptr<Output>> out = Output::Open("");
  if (!out.ok()) return Fail(out.error());
  (*out)->Write(text);
  Status done = (*out)->Finish();
  return done.ok() ? kExitOk : Fail(done.error());
}

void WriteStderr(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

void ReserveStandardStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // The wrong way round, so that using it fails; it gets the least number that is free: this one.
    [[maybe_unused]] const int got = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

bool StdinIsTerminal() { return isatty(STDIN_FILENO) == 1; }
bool StdoutIsTerminal() { return isatty(STDOUT_FILENO) == 1; }
bool StderrIsTerminal() { return isatty(STDERR_FILENO) == 1; }

}  // namespace varve::app
