// Tells queues of objects that the store has made durable, each object's bytes (key and ETag) once
// a rule.
//
// 1. Live: the store calls OnObjectCreated on the putting thread. For each matching rule one
//    transaction records the object as announced and sends the message, so either both happened or
//    neither. A failure here (queue full, disk full) is logged and counted, never thrown back at
//    the put: the object stays unannounced and step 2 finds it.
// 2. Reconcile: at the start and every reconcile_interval_ms the store is listed under each rule's
//    prefix, page by page, beside the announced rows of the same range. What is listed and not
//    announced (a crash between put and announce, or a file that another program put there) is
//    announced once it has not changed for stable_ms; an announced row whose object is gone is
//    removed. A pass that took long is followed by ten times as long a rest, so listing a large
//    store costs a tenth of a core at most.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "notify/rules.h"
#include "queue/sqlite_queue.h"
#include "state/database.h"
#include "store/object_store.h"

namespace varve::notify {

struct NotifierOptions {
  std::string account;  // as R2 has them in its messages
  std::string bucket;
  std::vector<NotifyRule> rules;
  uint64_t reconcile_interval_ms = 10'000;
  uint64_t stable_ms = 2'000;
  size_t candidates_max =
      100'000;  // unannounced objects watched at once; more wait for a next pass
};

struct NotifyStats {
  uint64_t announced = 0;          // created messages, live and by reconcile
  uint64_t announce_failures = 0;  // live ones that reconcile has to find
  uint64_t deletes_announced = 0;
  uint64_t reconciles = 0;
  uint64_t reconcile_failures = 0;  // passes that could not list or send everything
  uint64_t reconcile_announced = 0;
  uint64_t reconcile_pruned = 0;
  uint64_t objects_listed = 0;  // in the last pass
  uint64_t candidates = 0;      // unannounced objects that are being watched now
};

class Notifier : public store::ObjectListener {
 public:
  // All are borrowed and outlive the notifier. The rules' queues are declared by the caller.
  static Result<std::unique_ptr<Notifier>> Open(NotifierOptions options, state::Database& database,
                                                queue::SqliteQueue& queue, const Clock& clock);
  ~Notifier() override;

  void OnObjectCreated(const store::ObjectMeta& object) override;
  void OnObjectDeleted(std::string_view key) override;

  // One pass, on the caller's thread: lists, prunes, and announces what has been stable.
  Status Reconcile(store::ObjectStore& store);

  void Start(store::ObjectStore& store);  // reconciles on a thread of its own until Stop
  void Stop();
  NotifyStats stats() const;

 private:
  struct Candidate {
    store::ObjectMeta object;
    int64_t since_ns = 0;  // unchanged since then, by the monotonic clock
    uint64_t pass = 0;     // the last pass that saw it
  };
  using CandidateKey = std::pair<size_t, std::string>;  // rule, object key

  Notifier(NotifierOptions options, state::Database& database, queue::SqliteQueue& queue,
           const Clock& clock);
  // False: it had been announced with this ETag already.
  Result<bool> Announce(size_t rule, const store::ObjectMeta& object);
  Result<bool> Forget(size_t rule, std::string_view key);

  Status ReconcileRule(store::ObjectStore& store, size_t rule);
  Status ReconcilePrefix(store::ObjectStore& store, size_t rule, const std::string& prefix);
  Result<std::vector<std::string>> PrefixesOf(store::ObjectStore& store, size_t rule);
  void Watch(size_t rule, const store::ObjectMeta& object);
  Status PruneIfGone(store::ObjectStore& store, size_t rule, const std::string& key);
  Status AnnounceStable(store::ObjectStore& store);
  void Loop(store::ObjectStore& store, std::stop_token stop);
  bool Sleep(uint64_t ms, const std::stop_token& stop);  // false: stopped

  const NotifierOptions options_;
  const std::vector<std::string> rule_ids_;  // beside options_.rules
  state::Database& database_;
  queue::SqliteQueue& queue_;
  const Clock& clock_;

  std::mutex reconcile_mutex_;  // one pass at a time; guards the next two
  std::map<CandidateKey, Candidate> candidates_;
  uint64_t pass_ = 0;

  mutable std::mutex stats_mutex_;
  NotifyStats stats_;  // guarded by stats_mutex_

  std::mutex sleep_mutex_;
  std::condition_variable_any sleep_;
  std::jthread thread_;
};

}  // namespace varve::notify
