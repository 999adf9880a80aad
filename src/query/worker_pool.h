// The workers that are not in use. Starting one takes about 100 ms, so a few are started in
// advance, and one that has served a namespace serves that namespace again.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "query/worker.h"

namespace varve::query {

class WorkerPool {  // thread-safe
 public:
  // A thread of its own starts the workers, so that they live as long as it does; it calls
  // each_second too.
  WorkerPool(const EngineOptions& options, const Clock& clock, WorkerCounts& counts,
             std::function<void()> each_second);
  ~WorkerPool();

  // One that served the namespace before, else one that served nobody; waits for it.
  Result<std::unique_ptr<Worker>> Take(const NamespaceId& ns, const Patience& patience);
  Result<std::unique_ptr<Worker>> TakeUnused(const Patience& patience);
  // To be used again, if it can be.
  void GiveBack(std::unique_ptr<Worker> worker);
  void DropIdle();

 private:
  struct Served {
    std::unique_ptr<Worker> worker;
    int64_t used_ns;
  };

  void Loop();
  bool WantsMore() const;  // lock held
  void StartOne(std::unique_lock<std::mutex>& lock);

  const EngineOptions& options_;
  const Clock& clock_;
  WorkerCounts& counts_;
  const std::function<void()> each_second_;

  std::mutex mutex_;
  std::condition_variable wake_;     // the thread
  std::condition_variable arrived_;  // those who wait
  std::deque<std::unique_ptr<Worker>> unused_;
  std::deque<Served> served_;  // the last used in front
  uint64_t named_ = 0;         // temporary directories
  uint32_t waiting_ = 0;
  uint64_t failures_ = 0;
  std::optional<Error> failing_;  // the last start failed: none in advance until one is asked for
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace varve::query
