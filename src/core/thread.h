#pragma once

#include <functional>
#include <thread>

#include "core/result.h"

namespace varve {

// kExhausted, NO_THREAD: the system has none left, by the user's limit or the container's.
Result<std::thread> StartThread(std::function<void()> run);

}  // namespace varve
