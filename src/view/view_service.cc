#include "view/view_service.h"

#include <algorithm>
#include <chrono>

#include "core/log.h"
#include "notify/intake.h"

namespace varve::view {
namespace {

constexpr uint64_t kWaitForMessagesMs = 30'000;

bool IsAbsentObject(const Error& error) {
  return error.kind == ErrorKind::kNotFound || error.code == "INVALID_PATH";
}

}  // namespace

ViewService::ViewService(ServiceOptions options, ViewStore& views, ViewData& data,
                         workflow::WorkflowStore& workflows, store::ObjectStore& store,
                         queue::SqliteQueue& queue)
    : options_(std::move(options)),
      views_(views),
      data_(data),
      workflows_(workflows),
      store_(store),
      queue_(queue) {}

ViewService::~ViewService() { Stop(); }

Status ViewService::Start() {
  TRY(queue_.ReleaseHolder(options_.queue, options_.holder));
  threads_.emplace_back([this](std::stop_token stop) { TakeLoop(stop); });
  threads_.emplace_back([this](std::stop_token stop) { DispatchLoop(stop); });
  return {};
}

void ViewService::Stop() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

void ViewService::Wake() {
  {
    const std::lock_guard lock(wake_mutex_);
    ++woken_;
  }
  wake_.notify_all();
}

void ViewService::Pause(uint64_t ms, const std::stop_token& stop) {
  std::unique_lock lock(wake_mutex_);
  wake_.wait_for(lock, stop, std::chrono::milliseconds(ms), [] { return false; });
}

void ViewService::TakeLoop(std::stop_token stop) {
  uint64_t pause_ms = options_.pause_min_ms;
  while (!stop.stop_requested()) {
    queue_.Wait(options_.queue, kWaitForMessagesMs, stop);
    if (stop.stop_requested()) return;
    const auto taken = TakeOnce();
    if (taken.ok()) {
      pause_ms = options_.pause_min_ms;
      if (*taken > 0) Wake();
      continue;
    }
    LogError("views.failed", {{"doing", "take announcements"}, {"error", taken.error().message}});
    Pause(pause_ms, stop);
    pause_ms = std::min(pause_ms * 2, options_.pause_max_ms);
  }
}

void ViewService::DispatchLoop(std::stop_token stop) {
  uint64_t seen = 0;
  uint64_t pause_ms = options_.pause_min_ms;
  while (!stop.stop_requested()) {
    Status done = Maintain();
    if (done.ok()) {
      const auto made = DispatchOnce();
      if (!made.ok()) done = made.error();
    }
    if (done.ok()) {
      pause_ms = options_.pause_min_ms;
    } else {
      LogError("views.failed", {{"doing", "dispatch refreshes"}, {"error", done.error().message}});
      Pause(pause_ms, stop);
      pause_ms = std::min(pause_ms * 2, options_.pause_max_ms);
    }
    auto wait_ms = static_cast<int64_t>(options_.check_interval_ms);
    if (const auto due_ms = views_.NextDue()) {
      wait_ms = std::clamp<int64_t>(*due_ms - views_.clock().NowMs(), 1, wait_ms);
    }
    std::unique_lock lock(wake_mutex_);
    wake_.wait_for(lock, stop, std::chrono::milliseconds(wait_ms), [&] { return woken_ != seen; });
    seen = woken_;
  }
}

Result<View> ViewService::Register(const NamespaceId& tenant, std::string_view json) {
  ViewRequest request = TRY(ReadViewRequest(tenant, json, options_.periods));
  CheckedSql checked = TRY(data_.Check(tenant, request.sql));
  if (request.upkeep == Upkeep::kIncremental && !checked.not_incremental.empty()) {
    return MakeError(ErrorKind::kInvalid, "VIEW_NOT_INCREMENTAL",
                     "the view cannot be kept by its new rows alone: " + checked.not_incremental);
  }
  if (request.mode == Mode::kStreaming && checked.sources.empty()) {
    return MakeError(ErrorKind::kInvalid, "VIEW_WITHOUT_SOURCES",
                     "the statement reads no lake table, so that nothing would make the view due: "
                     "let it be scheduled or manual");
  }
  request.sql = std::move(checked.sql);
  View view = TRY(views_.Register(request, checked.sources));
  Wake();
  return view;
}

Result<std::string> ViewService::Refresh(const NamespaceId& tenant, std::string_view name,
                                         bool full) {
  std::string id = TRY(views_.Refresh(workflows_, tenant, name, full));
  if (options_.started) options_.started();
  return id;
}

Status ViewService::Drop(const NamespaceId& tenant, std::string_view name) {
  TRY(views_.Drop(tenant, name));
  return Maintain();
}

Result<uint64_t> ViewService::TakeOnce() {
  std::vector<Change> changes;
  notify::IntakeCalls calls;
  calls.add = [&](std::span<const notify::Notification> of_message) -> Status {
    std::vector<Change> added;
    for (const notify::Notification& notification : of_message) TRY(AddChange(notification, added));
    changes.insert(changes.end(), added.begin(), added.end());
    return {};
  };
  calls.note = [&](state::Session& session) -> Status {
    TRY(views_.Note(session, changes));
    return {};
  };
  const notify::IntakeOptions intake{.queue = options_.queue,
                                     .holder = options_.holder,
                                     .messages_max = options_.messages_max,
                                     .lease_ms = options_.lease_ms,
                                     .pause_ms = options_.pause_min_ms};
  notify::Taken taken = TRY(notify::TakeNotifications(queue_, views_.database(), intake, calls));
  TRY(std::move(taken.stopped));
  return taken.messages;
}

// Some senders escape keys, some do not. A change too many is a refresh that finds nothing new, so
// a key is believed in each form that is a writer's.
Status ViewService::AddChange(const notify::Notification& notification,
                              std::vector<Change>& changes) {
  using notify::NotificationKind;
  if (notification.kind == NotificationKind::kIgnored) return {};
  for (const std::string* key : {&notification.key, &notification.decoded_key}) {
    const auto source = key->empty() ? std::nullopt : options_.source_of(*key);
    if (!source) continue;
    if (notification.kind == NotificationKind::kDeleted) {
      const auto there = store_.Head(*key);
      if (!there.ok() && !IsAbsentObject(there.error())) return there.error();
      if (!there.ok() && TRY(options_.was_compacted(*key))) continue;
    }
    changes.push_back({source->tenant, source->ns, *key, notification.etag});
  }
  return {};
}

Result<uint64_t> ViewService::DispatchOnce() {
  const auto made = TRY(views_.Dispatch(workflows_));
  if (!made.empty() && options_.started) options_.started();
  return uint64_t{made.size()};
}

Status ViewService::Maintain() {
  for (const View& view : TRY(views_.Refreshing())) TRY(FreeEnded(view));
  for (const View& view : TRY(views_.Dropping())) TRY(Remove(view));
  return {};
}

// A refresh that has ended without saying so has failed, or was cancelled before its view was.
Status ViewService::FreeEnded(const View& view) {
  Error why = MakeError(ErrorKind::kInternal, "WORKFLOW_GONE", "the refresh is not known any more");
  const auto workflow = workflows_.Get(view.workflow_id);
  if (!workflow.ok() && workflow.error().kind != ErrorKind::kNotFound) return workflow.error();
  if (workflow.ok()) {
    if (!workflow::HasEnded(workflow->state)) return {};
    why.code = workflow->error_code;
    why.message = workflow->error.empty() ? "the refresh was cancelled" : workflow->error;
  }
  TRY(store_.Delete(GenerationKey(view, view.workflow_id)));  // nobody was told of it
  return views_.database().Transact([&](state::Session& session) {
    return views_.Release(session, view.id, view.workflow_id, why);
  });
}

Status ViewService::Remove(const View& view) {
  if (!view.workflow_id.empty()) {
    // A paused one waits for somebody who has dropped the view.
    const auto cancelled = workflows_.Operate(view.workflow_id, workflow::Operation::kCancel);
    if (cancelled.ok() && options_.started) options_.started();
    return {};  // once it has ended
  }
  const std::string folder = FolderOf(view.request.tenant, view.request.name);
  for (const store::ObjectMeta& object : TRY(store::ListAll(store_, folder))) {
    TRY(store_.Delete(object.key));
  }
  return views_.Erase(view.id);
}

}  // namespace varve::view
