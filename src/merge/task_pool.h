// Threads that run what they are given in the order in which it was given.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/result.h"

namespace varve::merge {

class TaskPool {
 public:
  // What a task leaves behind: read it once Wait has returned.
  class Ticket {
   public:
    virtual ~Ticket() = default;

   private:
    friend class TaskPool;
    bool done_ = false;  // under the pool's mutex
  };

  // Begins as many threads as are wanted, or as many as there are. kExhausted, NO_THREAD: none.
  static Result<std::unique_ptr<TaskPool>> Make(unsigned threads);
  ~TaskPool();  // what has not begun is not run
  TaskPool(const TaskPool&) = delete;

  size_t threads() const { return threads_.size(); }
  void Submit(std::shared_ptr<Ticket> ticket, std::function<void()> task);
  void Wait(const Ticket& ticket);  // one thread at a time
  bool Done(const Ticket& ticket);
  // Drops what has not begun and waits for what has.
  void Discard();

 private:
  struct Task {
    std::shared_ptr<Ticket> ticket;
    std::function<void()> run;
  };
  TaskPool() = default;
  void Work();

  std::mutex mutex_;
  std::condition_variable given_, done_;
  std::deque<Task> tasks_;
  size_t running_ = 0;
  const Ticket* awaited_ = nullptr;  // by the one thread that waits
  bool discarding_ = false;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace varve::merge
