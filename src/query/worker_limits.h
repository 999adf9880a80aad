// What a SQL worker takes from itself before it reads a statement.
#pragma once

#include <cstdint>

#include "core/result.h"
#include "query/worker_messages.h"

namespace varve::query {

// The exit code of a worker that ended because it got no memory.
inline constexpr int kExitNoMemory = 77;

// At the very start: dies with the server, is no prey of its signals, is the first to go when the
// machine lacks memory, leaves no core file, gains no rights.
void DetachWorker();
// Memory, the size of files, processor time against the server's. For good.
Status LimitWorker(const SetupMessage& setup);
// What counts against the memory limit now.
uint64_t DataBytes();

}  // namespace varve::query
