#include "merge/task_pool.h"

#include "core/thread.h"

namespace varve::merge {

Result<std::unique_ptr<TaskPool>> TaskPool::Make(unsigned threads) {
  std::unique_ptr<TaskPool> pool(new TaskPool);
  while (pool->threads_.size() < threads) {
    auto started = StartThread([to = pool.get()] { to->Work(); });
    if (!started.ok() && pool->threads_.empty()) return std::move(started).error();
    if (!started.ok()) break;
    pool->threads_.push_back(std::move(*started));
  }
  return pool;
}

TaskPool::~TaskPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  given_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void TaskPool::Submit(std::shared_ptr<Ticket> ticket, std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back({std::move(ticket), std::move(task)});
  }
  given_.notify_one();
}

void TaskPool::Wait(const Ticket& ticket) {
  std::unique_lock lock(mutex_);
  awaited_ = &ticket;
  done_.wait(lock, [&] { return ticket.done_; });
  awaited_ = nullptr;
}

bool TaskPool::Done(const Ticket& ticket) {
  const std::lock_guard lock(mutex_);
  return ticket.done_;
}

void TaskPool::Discard() {
  std::unique_lock lock(mutex_);
  tasks_.clear();
  discarding_ = true;
  done_.wait(lock, [&] { return running_ == 0; });
  discarding_ = false;
}

void TaskPool::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    given_.wait(lock, [&] { return stop_ || !tasks_.empty(); });
    if (stop_) return;
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    ++running_;
    lock.unlock();
    task.run();
    task.run = nullptr;  // what it held is let go before anyone is told
    lock.lock();
    task.ticket->done_ = true;
    --running_;
    if (awaited_ == task.ticket.get() || discarding_) done_.notify_one();
  }
}

}  // namespace varve::merge
