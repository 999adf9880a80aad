// Who has a journal's directory: one process that writes it, or several that only read it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "core/result.h"

namespace varve::journal {

class LockFile {
 public:
  enum class Mode : uint8_t { kWrite, kRead };
  // Makes the directory for kWrite. A process that was killed may hold it for a moment longer, so
  // it is asked for again for two seconds. kConflict, JOURNAL_LOCKED: another process has it.
  static Result<LockFile> Take(const std::string& directory, Mode mode);
  LockFile(LockFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  LockFile& operator=(LockFile&&) = delete;
  ~LockFile();

 private:
  explicit LockFile(int fd) : fd_(fd) {}
  int fd_;  // -1: a directory without a lock file, which nobody has ever written to
};

}  // namespace varve::journal
