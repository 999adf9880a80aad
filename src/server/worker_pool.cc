#include "server/worker_pool.h"

namespace varve::server {

WorkerPool::WorkerPool(uint32_t threads, uint32_t backlog_max) : backlog_max_(backlog_max) {
  for (uint32_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

WorkerPool::~WorkerPool() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool WorkerPool::Submit(std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    if (closed_ || backlog_.size() >= backlog_max_) return false;
    backlog_.push_back(std::move(work));
  }
  changed_.notify_one();
  return true;
}

size_t WorkerPool::backlog() const {
  std::lock_guard lock(mutex_);
  return backlog_.size();
}

void WorkerPool::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return closed_ || !backlog_.empty(); });
    if (backlog_.empty()) return;
    std::function<void()> work = std::move(backlog_.front());
    backlog_.pop_front();
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
  }
}

}  // namespace varve::server
