#include "core/thread.h"

#include <system_error>
#include <utility>

namespace varve {

Result<std::thread> StartThread(std::function<void()> run) {
  try {
    return std::thread(std::move(run));
  } catch (const std::system_error& error) {
    return MakeError(ErrorKind::kExhausted, "NO_THREAD",
                     std::string("start a thread: ") + error.code().message() +
                         " (the limit of processes: ulimit -u, or the container's)");
  }
}

}  // namespace varve
