#include "query/worker_pool.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>

#include "core/log.h"

namespace varve::query {

namespace {
constexpr std::chrono::milliseconds kLook{10};  // at the patience of who waits
constexpr std::chrono::seconds kSecond{1};
}  // namespace

WorkerPool::WorkerPool(const EngineOptions& options, const Clock& clock, WorkerCounts& counts,
                       std::function<void()> each_second)
    : options_(options),
      clock_(clock),
      counts_(counts),
      each_second_(std::move(each_second)),
      thread_([this] { Loop(); }) {}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

Result<std::unique_ptr<Worker>> WorkerPool::Take(const NamespaceId& ns, const Patience& patience) {
  std::vector<std::unique_ptr<Worker>> dead;  // buried after the lock is given up
  {
    const std::lock_guard lock(mutex_);
    for (auto it = served_.begin(); it != served_.end();) {
      if (it->worker->ns() != ns) {
        ++it;
        continue;
      }
      auto worker = std::move(it->worker);
      it = served_.erase(it);
      if (worker->IsAlive()) return worker;
      dead.push_back(std::move(worker));
    }
  }
  return TakeUnused(patience);
}

Result<std::unique_ptr<Worker>> WorkerPool::TakeUnused(const Patience& patience) {
  std::vector<std::unique_ptr<Worker>> dead;  // buried after the lock is given up
  std::unique_lock lock(mutex_);
  const uint64_t failures = failures_;
  while (true) {
    while (!unused_.empty()) {
      auto worker = std::move(unused_.front());
      unused_.pop_front();
      wake_.notify_all();
      if (worker->IsAlive()) return worker;
      dead.push_back(std::move(worker));
    }
    TRY(patience.Check());
    if (failures_ != failures) return *failing_;
    ++waiting_;
    wake_.notify_all();
    arrived_.wait_for(lock, kLook);
    --waiting_;
  }
}

void WorkerPool::GiveBack(std::unique_ptr<Worker> worker) {
  if (!worker->reusable()) return;
  std::unique_ptr<Worker> spare;  // ended after the lock is given up
  const std::lock_guard lock(mutex_);
  if (!worker->closed()) {
    unused_.push_front(std::move(worker));
    arrived_.notify_all();
    return;
  }
  served_.push_front({std::move(worker), clock_.MonotonicNs()});
  if (served_.size() > options_.queries_max) {
    spare = std::move(served_.back().worker);
    served_.pop_back();
  }
}

void WorkerPool::DropIdle() {
  std::vector<std::unique_ptr<Worker>> dropped;  // ended after the lock is given up
  const std::lock_guard lock(mutex_);
  const int64_t idle_ns = static_cast<int64_t>(options_.cursor_idle_ms) * 1'000'000;
  while (!served_.empty() && clock_.MonotonicNs() - served_.back().used_ns >= idle_ns) {
    dropped.push_back(std::move(served_.back().worker));
    served_.pop_back();
  }
}

bool WorkerPool::WantsMore() const {
  if (failing_) return waiting_ > 0;
  return unused_.size() < options_.instances_ready + waiting_;
}

void WorkerPool::Loop() {
  auto next_second = std::chrono::steady_clock::now() + kSecond;
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait_until(lock, next_second, [&] { return stopping_ || WantsMore(); });
    if (stopping_) return;
    if (WantsMore()) StartOne(lock);
    if (std::chrono::steady_clock::now() < next_second) continue;
    next_second = std::chrono::steady_clock::now() + kSecond;
    lock.unlock();
    each_second_();
    lock.lock();
  }
}

void WorkerPool::StartOne(std::unique_lock<std::mutex>& lock) {
  std::string temp;
  if (!options_.temp_directory.empty()) {
    temp = fmt::format("{}/query-{}-{}", options_.temp_directory, getpid(), named_++);
  }
  lock.unlock();
  auto started = Worker::Start(options_, std::move(temp), counts_);
  lock.lock();
  if (started.ok()) {
    failing_.reset();
    unused_.push_back(std::move(started).value());
  } else {
    ++failures_;
    LogWarn("query.worker_not_started", {{"error", started.error().message}});
    failing_ = MakeError(ErrorKind::kInternal, "QUERY_FAILED",
                         "no process could be started for the query");
  }
  arrived_.notify_all();
}

}  // namespace varve::query
