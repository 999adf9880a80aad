// A few threads for calls that block (queries, the queue, the store), with a bounded backlog.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace varve::server {

class WorkerPool {
 public:
  WorkerPool(uint32_t threads, uint32_t backlog_max);
  ~WorkerPool();  // runs what was accepted, then ends
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  bool Submit(std::function<void()> work);  // false: the backlog is full
  size_t backlog() const;

 private:
  void Run();

  const uint32_t backlog_max_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> backlog_;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace varve::server
