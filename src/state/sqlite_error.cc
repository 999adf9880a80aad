#include "state/sqlite_error.h"

#include <sqlite3.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/log.h"

namespace varve::state {
namespace {

bool IsFsyncFailure(int extended) {
  return extended == SQLITE_IOERR_FSYNC || extended == SQLITE_IOERR_DIR_FSYNC;
}

bool IsOutOfSpace(int system_errno) {
  return system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG;
}

}  // namespace

Error SqliteError(sqlite3* db, int code, std::string_view file, std::string_view doing) {
  const int extended = db != nullptr ? sqlite3_extended_errcode(db) : code;
  const int system_errno = db != nullptr ? sqlite3_system_errno(db) : 0;
  std::string words = std::string(doing) + " (" + std::string(file) + "): ";
  words += db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  if (IsFsyncFailure(extended)) {
    LogError("state_fsync_failed", {{"file", file}, {"doing", doing}, {"error", words}});
    std::abort();
  }
  switch (code & 0xff) {
    case SQLITE_FULL:
      return MakeError(ErrorKind::kExhausted, "DISK_FULL", std::move(words));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return MakeError(ErrorKind::kCorrupt, "STATE_CORRUPT", std::move(words));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return MakeError(ErrorKind::kRetryable, "STATE_BUSY", std::move(words));
    case SQLITE_READONLY:
      return MakeError(ErrorKind::kInternal, "STATE_READ_ONLY", std::move(words));
    case SQLITE_CONSTRAINT:
      return MakeError(ErrorKind::kConflict, "STATE_CONSTRAINT", std::move(words));
    case SQLITE_TOOBIG:
      return MakeError(ErrorKind::kInvalid, "STATE_VALUE_TOO_LARGE", std::move(words));
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      if (IsOutOfSpace(system_errno)) {
        return MakeError(ErrorKind::kExhausted, "DISK_FULL", std::move(words));
      }
      if (system_errno != 0) words += std::string(": ") + std::strerror(system_errno);
      return MakeError(ErrorKind::kInternal, "STATE_IO", std::move(words));
    default:
      return MakeError(ErrorKind::kInternal, "STATE_SQL", std::move(words));
  }
}

}  // namespace varve::state
