// What SQLite's result codes mean to a caller of varve.
#pragma once

#include <string_view>

#include "core/result.h"

struct sqlite3;

namespace varve::state {

// From the connection's last error. DISK_FULL for a full disk, however SQLite met it; kCorrupt for
// a damaged file; kRetryable while another process holds the lock. A failed fsync ends the process:
// the kernel has dropped the pages, so a second try would only seem to succeed.
Error SqliteError(sqlite3* db, int code, std::string_view file, std::string_view doing);

}  // namespace varve::state
