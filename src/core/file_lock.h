// A lock on an open file, which the kernel gives back when the process ends.
#pragma once

#include <string>

#include "core/result.h"

namespace varve {

// flock(2) on fd, exclusive or shared. A process that was killed may hold it for a moment longer,
// so it is asked for again for two seconds. False: another process has it.
Result<bool> LockFd(int fd, bool exclusive, const std::string& path);

}  // namespace varve
