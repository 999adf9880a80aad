// The queue calls that the commands make, on a server over HTTP or on the state database itself.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/target.h"
#include "core/result.h"
#include "queue/queue.h"

namespace varve::app {

class QueueAccess {
 public:
  virtual ~QueueAccess() = default;
  virtual Result<std::vector<queue::QueueStats>> List() = 0;
  virtual Result<std::vector<queue::Message>> Peek(const std::string& queue,
                                                   uint32_t batch_max) = 0;
  virtual Result<uint64_t> Replay(const std::string& queue, uint64_t messages_max) = 0;
  virtual Result<uint64_t> PurgeAll(const std::string& queue) = 0;
};

// --data DIR, or the server (--url, VARVE_URL, the default one) where no directory was given.
Result<std::unique_ptr<QueueAccess>> OpenQueueAccess(const TargetOptions& options);

std::string QueueStatsJson(const std::vector<queue::QueueStats>& queues);

}  // namespace varve::app
