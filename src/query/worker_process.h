// The process of a SQL worker: started with one socket and nothing else of ours, killed when it is
// not wanted any more. It dies with the thread that started it, so that no worker outlives a server
// that was killed: start workers on a thread that lives as long as they shall.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "core/result.h"
#include "query/engine.h"
#include "store/unique_fd.h"

namespace varve::query {

struct WorkerDeath {
  int signal = 0;  // 0: it exited
  int exit_code = 0;
  std::string last_words;  // of its standard error, cut
};

class WorkerProcess {
 public:
  static constexpr int kSocketFd = 3;  // in the worker

  static Result<std::unique_ptr<WorkerProcess>> Start(const WorkerCommand& command);
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;
  ~WorkerProcess();  // Kill

  store::UniqueFd TakeSocket() { return std::move(socket_); }
  pid_t pid() const { return pid_; }
  // Ends it if it has not ended, and leaves nothing of it. How it ended is known once.
  WorkerDeath Kill();
  // The same, of one whose connection has ended: what it is dying of is not overtaken.
  WorkerDeath Bury();

 private:
  WorkerProcess() = default;
  WorkerDeath Reap();

  pid_t pid_ = -1;
  store::UniqueFd socket_;
  store::UniqueFd errors_;  // the read end of its standard error
};

}  // namespace varve::query
