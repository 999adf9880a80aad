#include "app/data_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/file_lock.h"

namespace varve::app {
namespace {

// Who has a lock on the file, as the kernel tells: " (process 4711)", or "" where it does not.
std::string HolderOf(int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return {};
  std::ifstream locks("/proc/locks");
  for (std::string line;
       std::getline(locks, line);) {  // "1: FLOCK  ADVISORY  WRITE 4711 08:01:99 …"
    std::istringstream words(line);
    std::string number, kind, advisory, mode, pid, file;
    words >> number >> kind >> advisory >> mode >> pid >> file;
    if (kind == "FLOCK" && file.ends_with(fmt::format(":{}", info.st_ino))) {
      return fmt::format(" (process {})", pid);
    }
  }
  return {};
}

std::string HolderOf(const DataDirPaths& paths) {
  const int fd = open(paths.lock.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::string holder = HolderOf(fd);
  close(fd);
  return holder;
}

// Whether a server (or nobody) holds the exclusive lock.
Result<bool> HeldExclusively(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT) return false;
    return ErrnoError(errno, "open " + path);
  }
  bool busy = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  close(fd);
  return busy;
}

}  // namespace

DataDirPaths::DataDirPaths(const std::string& data_dir)
    : root(std::filesystem::absolute(data_dir).lexically_normal()),
      own(std::filesystem::path(root) / ".varve"),
      lock(own + "/lock"),
      serve_json(own + "/serve.json"),
      journal(own + "/journal"),
      state(own + "/state.db"),
      event_ids(own + "/event-ids"),
      tmp(own + "/tmp") {}

Error CannotWrite(const DataDirPaths& paths, Error error) {
  error.message += fmt::format(
      "; varve must be able to write to its data directory {}: give the user that runs it (uid {}) "
      "read, write and search rights there, remount it writable, make room, or give another "
      "--data. `varve doctor --data {}` looks further",
      paths.root, geteuid(), paths.root);
  return error;
}

Status MakeDataDir(const DataDirPaths& paths) {
  for (const std::string* path : {&paths.root, &paths.own, &paths.journal, &paths.tmp}) {
    std::error_code failed;
    std::filesystem::create_directories(*path, failed);
    if (failed) {
      return CannotWrite(paths, ErrnoError(failed.value(), "create the directory " + *path));
    }
  }
  return {};
}

Result<DataDirLock> DataDirLock::Take(const DataDirPaths& paths, Mode mode) {
  // A reader of a directory that it may not write to still finds the lock that serve has made.
  int fd = open(paths.lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0 && mode == Mode::kShared && (errno == EACCES || errno == EROFS)) {
    fd = open(paths.lock.c_str(), O_RDONLY | O_CLOEXEC);
  }
  if (fd < 0) return CannotWrite(paths, ErrnoError(errno, "open " + paths.lock));
  DataDirLock lock(fd);
  if (TRY(LockFd(fd, mode == Mode::kExclusive, paths.lock))) return lock;
  return MakeError(ErrorKind::kConflict, "DATA_DIR_BUSY",
                   fmt::format("the data directory {} is in use by another varve process{}; stop "
                               "it, or give another --data",
                               paths.root, HolderOf(fd)));
}

DataDirLock::~DataDirLock() {
  if (fd_ >= 0) close(fd_);
}

Status WriteServeInfo(const DataDirPaths& paths, const ServeInfo& info) {
  nlohmann::json json = {{"url", info.url}, {"pid", info.pid}, {"startedMs", info.started_ms}};
  std::string temporary = paths.serve_json + ".new";
  std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
  out << json.dump() << '\n';
  out.close();
  if (!out) return ErrnoError(errno, "write " + temporary);
  if (rename(temporary.c_str(), paths.serve_json.c_str()) != 0) {
    return ErrnoError(errno, "rename " + temporary);
  }
  return {};
}

void RemoveServeInfo(const DataDirPaths& paths) { unlink(paths.serve_json.c_str()); }

Result<std::optional<ServeInfo>> RunningServer(const DataDirPaths& paths) {
  if (!TRY(HeldExclusively(paths.lock))) return std::optional<ServeInfo>();
  std::ifstream in(paths.serve_json, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("url") || !json["url"].is_string()) {
    return MakeError(ErrorKind::kRetryable, "SERVER_STARTING",
                     fmt::format("a server{} has the data directory {} and does not answer yet; "
                                 "try again, or give its --url",
                                 HolderOf(paths), paths.root));
  }
  ServeInfo info;
  info.url = json["url"].get<std::string>();
  if (json.value("pid", nlohmann::json()).is_number_integer()) info.pid = json["pid"];
  if (json.value("startedMs", nlohmann::json()).is_number_integer()) {
    info.started_ms = json["startedMs"];
  }
  return std::optional(info);
}

}  // namespace varve::app
