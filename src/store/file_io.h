// System calls as the local store needs them: whole, retried on EINTR, errors as Results.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"

namespace varve::store {

// As ErrnoError, with the answers that a directory store can give a caller: READ_ONLY, DISK_FULL
// also for a file size limit, INVALID_PATH for a name that the file system refuses.
Error FileError(int err, std::string_view doing);

Status WriteAll(int fd, std::string_view bytes, std::string_view doing);
// kRetryable if the file ends before: another program is rewriting it.
Result<std::string> ReadExactly(int fd, uint64_t offset, uint64_t size, std::string_view doing);

// Makes the file durable. Out of space is an Error, because a file that is not published yet can be
// thrown away; any other failure ends the process: the kernel has marked the pages clean, and a
// second fsync would say "done" about bytes that are gone.
Status SyncNewFile(int fd, std::string_view doing);
// Makes the directory's entries durable. A failure ends the process: the entry is already visible.
void SyncDirectory(int fd, std::string_view doing);

}  // namespace varve::store
