// Runs the windows: takes announcements from the queue, dispatches what is ready, looks after what
// is old.
//
// 1. One thread takes messages, up to messages_max at once, and notes them in the transaction that
//    acks them. A message that is no notification is a dead letter at once. A key that is no
//    writer's file is acked, counted and remembered among the last examples; its object is never
//    touched. A deletion is believed once the store has confirmed it, as messages come in any
//    order.
// 2. Another dispatches, every check_interval_ms and when something was noted; asks which workflows
//    wait for an operator or have ended without a word; rechecks and prunes.
// Failures of store, disk or state blame no message: it is given back, with a pause that doubles.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "compact/source_twins.h"
#include "compact/window_history.h"
#include "compact/window_tracker.h"
#include "notify/notification.h"
#include "queue/sqlite_queue.h"
#include "store/object_store.h"

namespace varve::compact {

// How the workflow stands that has a window.
enum class WorkflowStanding : uint8_t {
  kRuns,
  kHalted,  // failed or paused: it waits for an operator
  kEnded,   // or nobody knows it
};

struct WindowConsumerOptions {
  std::string queue = "varve-compaction-events";  // declared by the caller
  std::string prefix{kSourcePrefix};
  uint32_t messages_max = 1'000;  // in one transaction
  uint64_t lease_ms = 120'000;
  uint64_t check_interval_ms = 5'000;
  uint64_t prune_interval_ms = 3'600'000;
  uint64_t pause_min_ms = 1'000;  // after a failure
  uint64_t pause_max_ms = 60'000;
  std::string holder = "window-consumer";
  StartWorkflow start;
  std::function<Result<WorkflowStanding>(std::string_view workflow_id)> standing;
  std::function<void()> started;  // a workflow was made: wake who runs them
};

struct SkippedKey {
  std::string key, why;
  int64_t at_ms = 0;
};

struct WindowStats {
  NoteCounts noted;
  uint64_t messages = 0, skipped = 0, dead_lettered = 0, given_back = 0;
  uint64_t dispatched = 0, failures = 0, pruned = 0, rechecked = 0;
  std::vector<SkippedKey> skipped_last;  // newest last, a few
  std::string last_error;
};

class WindowConsumer {
 public:
  // All are borrowed and outlive it.
  WindowConsumer(WindowConsumerOptions options, WindowTracker& tracker, store::ObjectStore& store,
                 queue::SqliteQueue& queue);
  ~WindowConsumer();

  Status Start();  // gives back an earlier process's leases, starts the threads
  void Stop();
  void Wake();  // dispatch now

  // A round of each on the caller's thread: how many messages it took, how many workflows it made.
  Result<uint64_t> TakeOnce();
  Result<uint64_t> DispatchOnce();
  // What an operator wants now; as many as may run.
  Result<std::vector<Dispatched>> DispatchNow(const DispatchWish& wish);
  Status Maintain();  // standing, rechecks, pruning

  WindowStats stats() const;
  WindowHistory& history() { return history_; }

 private:
  void TakeLoop(std::stop_token stop);
  void DispatchLoop(std::stop_token stop);
  void Failed(std::string_view doing, const Error& error);
  Status AddArrival(const notify::Notification& notification, std::vector<Arrival>& arrivals);
  Result<std::optional<Arrival>> Look(const std::string& key);
  void Skip(const std::string& key, const Error& why);
  Status AskStanding();
  Status RecheckAll();
  Status PruneAll();

  const WindowConsumerOptions options_;
  WindowTracker& tracker_;
  store::ObjectStore& store_;
  queue::SqliteQueue& queue_;
  SourceTwins twins_;
  WindowHistory history_;
  int64_t pruned_ms_ = 0;  // the dispatching thread's

  mutable std::mutex stats_mutex_;
  WindowStats stats_;                    // guarded by stats_mutex_
  std::deque<SkippedKey> skipped_last_;  // likewise

  std::mutex wake_mutex_;
  std::condition_variable_any wake_;
  uint64_t woken_ = 0;  // guarded by wake_mutex_

  std::vector<std::jthread> threads_;
};

}  // namespace varve::compact
