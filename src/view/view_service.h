// Keeps the views: what an operator wants of them, and what the lake's changes make of them.
//
// 1. One thread takes notifications of writers' files, up to messages_max at once, and notes in the
//    transaction that acks them which views have changed. A message that is no notification is a
//    dead letter at once. A deletion counts unless the file went because it was compacted.
// 2. Another makes the refreshes that are due. It sleeps until the first one is: the last change of
//    all waits for no further message. It also frees views whose refresh has failed or was
//    cancelled, and removes what dropped views have left.
// Failures of store, disk or state blame no message: it is given back, with a pause that doubles.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "notify/notification.h"
#include "queue/sqlite_queue.h"
#include "store/object_store.h"
#include "view/view_data.h"
#include "view/view_store.h"
#include "workflow/workflow_store.h"

namespace varve::view {

// Whose file a key is; nothing: no writer's.
struct SourceKey {
  NamespaceId tenant;
  std::string ns;
};

struct ServiceOptions {
  std::string queue = "varve-view-events";  // declared by the caller
  uint32_t messages_max = 1'000;            // in one transaction
  uint64_t lease_ms = 120'000;
  uint64_t check_interval_ms = 1'000;
  uint64_t pause_min_ms = 1'000;  // after a failure
  uint64_t pause_max_ms = 60'000;
  PeriodDefaults periods;
  std::string holder = "view-service";
  std::function<std::optional<SourceKey>(std::string_view key)> source_of;
  // Whether what was under the key has been compacted: then its going changes nothing.
  std::function<Result<bool>(const std::string& key)> was_compacted;
  std::function<void()> started;  // a workflow was made: wake who runs them
};

class ViewService {
 public:
  // All are borrowed and outlive it.
  ViewService(ServiceOptions options, ViewStore& views, ViewData& data,
              workflow::WorkflowStore& workflows, store::ObjectStore& store,
              queue::SqliteQueue& queue);
  ~ViewService();

  Status Start();  // gives back an earlier process's leases, starts the threads
  void Stop();
  void Wake();

  // kInvalid besides what ViewData::Check says: VIEW_NOT_INCREMENTAL, VIEW_WITHOUT_SOURCES.
  Result<View> Register(const NamespaceId& tenant, std::string_view json);
  Result<std::string> Refresh(const NamespaceId& tenant, std::string_view name, bool full);
  Status Drop(const NamespaceId& tenant, std::string_view name);
  ViewStore& views() { return views_; }

  // A round of each on the caller's thread: how many messages it took, how many refreshes it made.
  Result<uint64_t> TakeOnce();
  Result<uint64_t> DispatchOnce();
  Status Maintain();  // what has ended, what was dropped

 private:
  void TakeLoop(std::stop_token stop);
  void DispatchLoop(std::stop_token stop);
  void Pause(uint64_t ms, const std::stop_token& stop);
  Status AddChange(const notify::Notification& notification, std::vector<Change>& changes);
  Status FreeEnded(const View& view);
  Status Remove(const View& view);

  const ServiceOptions options_;
  ViewStore& views_;
  ViewData& data_;
  workflow::WorkflowStore& workflows_;
  store::ObjectStore& store_;
  queue::SqliteQueue& queue_;

  std::mutex wake_mutex_;
  std::condition_variable_any wake_;
  uint64_t woken_ = 0;  // guarded by wake_mutex_

  std::vector<std::jthread> threads_;
};

}  // namespace varve::view
