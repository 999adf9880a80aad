#include "compact/window_consumer.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include "core/log.h"
#include "notify/intake.h"

namespace varve::compact {
namespace {

constexpr uint64_t kIdleWaitMs = 30'000;
constexpr size_t kSkippedShown = 10;
constexpr size_t kKeyBytesShown = 256;
constexpr size_t kEtagBytesMax = 256;
constexpr size_t kMaintainedMax = 500;  // rechecks, and prunings, in one go

bool IsAbsent(const Error& error) {
  return error.kind == ErrorKind::kNotFound || error.kind == ErrorKind::kInvalid;
}

void Pause(uint64_t ms, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, std::chrono::milliseconds(ms), [] { return false; });
}

}  // namespace

WindowConsumer::WindowConsumer(WindowConsumerOptions options, WindowTracker& tracker,
                               store::ObjectStore& store, queue::SqliteQueue& queue)
    : options_(std::move(options)),
      tracker_(tracker),
      store_(store),
      queue_(queue),
      twins_(store, tracker) {}

WindowConsumer::~WindowConsumer() { Stop(); }

Status WindowConsumer::Start() {
  TRY(queue_.ReleaseHolder(options_.queue, options_.holder));
  threads_.emplace_back([this](std::stop_token stop) { TakeLoop(stop); });
  threads_.emplace_back([this](std::stop_token stop) { DispatchLoop(stop); });
  return {};
}

void WindowConsumer::Stop() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

void WindowConsumer::Wake() {
  {
    const std::lock_guard lock(wake_mutex_);
    ++woken_;
  }
  wake_.notify_all();
}

WindowStats WindowConsumer::stats() const {
  const std::lock_guard lock(stats_mutex_);
  WindowStats out = stats_;
  out.skipped_last.assign(skipped_last_.begin(), skipped_last_.end());
  return out;
}

void WindowConsumer::Failed(std::string_view doing, const Error& error) {
  LogError("windows.failed", {{"doing", doing}, {"error", error.message}});
  const std::lock_guard lock(stats_mutex_);
  ++stats_.failures;
  stats_.last_error = std::string(doing) + ": " + error.message;
}

void WindowConsumer::TakeLoop(std::stop_token stop) {
  uint64_t pause_ms = options_.pause_min_ms;
  while (!stop.stop_requested()) {
    queue_.Wait(options_.queue, kIdleWaitMs, stop);
    if (stop.stop_requested()) return;
    const auto taken = TakeOnce();
    if (taken.ok()) {
      pause_ms = options_.pause_min_ms;
      if (*taken > 0) Wake();
      continue;
    }
    Failed("take announcements", taken.error());
    Pause(pause_ms, stop);
    pause_ms = std::min(pause_ms * 2, options_.pause_max_ms);
  }
}

void WindowConsumer::DispatchLoop(std::stop_token stop) {
  uint64_t seen = 0;
  uint64_t pause_ms = options_.pause_min_ms;
  while (!stop.stop_requested()) {
    Status done = Maintain();
    if (done.ok()) {
      const auto dispatched = DispatchOnce();
      if (!dispatched.ok()) done = dispatched.error();
    }
    if (done.ok()) {
      pause_ms = options_.pause_min_ms;
    } else {
      Failed("dispatch windows", done.error());
      Pause(pause_ms, stop);
      pause_ms = std::min(pause_ms * 2, options_.pause_max_ms);
    }
    std::unique_lock lock(wake_mutex_);
    wake_.wait_for(lock, stop, std::chrono::milliseconds(options_.check_interval_ms),
                   [&] { return woken_ != seen; });
    seen = woken_;
  }
}

Result<uint64_t> WindowConsumer::TakeOnce() {
  std::vector<Arrival> arrivals;
  NoteCounts counts;
  notify::IntakeCalls calls;
  calls.add = [&](std::span<const notify::Notification> of_message) -> Status {
    std::vector<Arrival> added;
    for (const notify::Notification& notification : of_message)
      TRY(AddArrival(notification, added));
    TRY(twins_.Find(added));
    std::move(added.begin(), added.end(), std::back_inserter(arrivals));
    return {};
  };
  calls.note = [&](state::Session& session) -> Status {
    if (!arrivals.empty()) counts = TRY(tracker_.Note(session, arrivals));
    return {};
  };
  const notify::IntakeOptions intake{.queue = options_.queue,
                                     .holder = options_.holder,
                                     .messages_max = options_.messages_max,
                                     .lease_ms = options_.lease_ms,
                                     .pause_ms = options_.pause_min_ms};
  notify::Taken taken = TRY(notify::TakeNotifications(queue_, tracker_.database(), intake, calls));
  {
    const std::lock_guard lock(stats_mutex_);
    stats_.noted.Add(counts);
    stats_.messages += taken.messages;
    stats_.dead_lettered += taken.dead_lettered;
    stats_.given_back += taken.given_back;
  }
  TRY(std::move(taken.stopped));
  return taken.messages;
}

// What the store has under the key; nothing: no such object.
Result<std::optional<Arrival>> WindowConsumer::Look(const std::string& key) {
  auto name = ParseSourceName(key, options_.prefix);
  if (!name.ok()) return std::optional<Arrival>();
  auto object = store_.Head(key);
  if (!object.ok() && IsAbsent(object.error())) return std::optional<Arrival>();
  if (!object.ok()) return std::move(object).error();
  Arrival arrival{.name = std::move(name).value(), .key = key, .etag = object->etag};
  arrival.size = object->size;
  arrival.current = true;
  return std::optional<Arrival>(std::move(arrival));
}

// Some senders escape keys, some do not: where the two differ, the store knows which is meant. It
// is asked as well where the message does not say which bytes, or says that they have gone.
Status WindowConsumer::AddArrival(const notify::Notification& notification,
                                  std::vector<Arrival>& arrivals) {
  using notify::NotificationKind;
  if (notification.kind == NotificationKind::kIgnored) return {};
  auto name = ParseSourceName(notification.key, options_.prefix);
  const std::string& decoded = notification.decoded_key;
  const bool decoded_fits = !decoded.empty() && ParseSourceName(decoded, options_.prefix).ok();
  if (!name.ok() && !decoded_fits) {
    Skip(notification.key, name.error());
    return {};
  }
  const bool created = notification.kind == NotificationKind::kCreated;
  const bool tells = !notification.etag.empty() && notification.etag.size() <= kEtagBytesMax &&
                     notification.size.has_value();
  if (created && name.ok() && !decoded_fits && tells) {
    Arrival arrival{
        .name = std::move(name).value(), .key = notification.key, .etag = notification.etag};
    arrival.size = *notification.size;
    arrivals.push_back(std::move(arrival));
    return {};
  }
  for (const std::string* key : {&notification.key, &decoded}) {
    if (key->empty()) continue;
    if (auto there = TRY(Look(*key))) {
      arrivals.push_back(std::move(*there));
      return {};
    }
  }
  for (const std::string* key : {&notification.key, &decoded}) {
    auto parsed = ParseSourceName(*key, options_.prefix);
    if (!parsed.ok()) continue;
    Arrival arrival{.name = std::move(parsed).value(), .key = *key, .etag = ""};
    arrival.gone = true;
    arrivals.push_back(std::move(arrival));
  }
  return {};
}

void WindowConsumer::Skip(const std::string& key, const Error& why) {
  const std::lock_guard lock(stats_mutex_);
  ++stats_.skipped;
  if (why.code == "PARTITION_FOLDER") return;  // most likely what compaction wrote itself
  skipped_last_.push_back({key.substr(0, kKeyBytesShown), why.message, tracker_.clock().NowMs()});
  if (skipped_last_.size() > kSkippedShown) skipped_last_.pop_front();
}

Result<std::vector<Dispatched>> WindowConsumer::DispatchNow(const DispatchWish& wish) {
  std::vector<Dispatched> all;
  if (!options_.start) {
    return MakeError(ErrorKind::kRetryable, "NO_WORKFLOWS", "nothing here runs workflows");
  }
  // Each round that goes takes a place, so the places bound it.
  while (all.size() <= tracker_.options().concurrency_max) {
    auto dispatched = TRY(tracker_.Dispatch(wish, options_.start));
    if (!dispatched) break;
    LogInfo("windows.dispatched", {{"namespace", dispatched->ns},
                                   {"window", FormatIso(dispatched->window.start_ms)},
                                   {"files", dispatched->window.files},
                                   {"workflow", dispatched->window.workflow_id}});
    all.push_back(std::move(*dispatched));
  }
  if (!all.empty()) {
    {
      const std::lock_guard lock(stats_mutex_);
      stats_.dispatched += all.size();
    }
    if (options_.started) options_.started();
  }
  return all;
}

Result<uint64_t> WindowConsumer::DispatchOnce() {
  if (!options_.start) return uint64_t{0};
  return uint64_t{TRY(DispatchNow({})).size()};
}

Status WindowConsumer::Maintain() {
  TRY(AskStanding());
  TRY(RecheckAll());
  const int64_t now_ms = tracker_.clock().NowMs();
  if (now_ms - pruned_ms_ >= static_cast<int64_t>(options_.prune_interval_ms)) {
    TRY(PruneAll());
    pruned_ms_ = now_ms;
  }
  if (history_.Wants(now_ms)) {
    history_.Add(TRY(
        ReadStatus(tracker_, {.namespaces_max = WindowHistory::kNamespacesMax, .windows_max = 0})));
  }
  return {};
}

Status WindowConsumer::AskStanding() {
  if (!options_.standing) return {};
  for (const Window& window : TRY(tracker_.Running())) {
    const WorkflowStanding standing = TRY(options_.standing(window.workflow_id));
    if (standing == WorkflowStanding::kEnded) {
      TRY(tracker_.database().Transact(
          [&](state::Session& session) { return tracker_.End(session, window.workflow_id); }));
      continue;
    }
    const bool halted = standing == WorkflowStanding::kHalted;
    if (halted != window.halted) TRY(tracker_.SetHalted(window.workflow_id, halted));
  }
  return {};
}

Status WindowConsumer::RecheckAll() {
  for (const SourceId& source : TRY(tracker_.Rechecks(kMaintainedMax))) {
    const std::optional<Arrival> there = TRY(Look(source.key));
    if (there) TRY(twins_.Find(std::span(&*there, 1)));
    TRY(tracker_.Recheck(source, there));
    const std::lock_guard lock(stats_mutex_);
    ++stats_.rechecked;
  }
  return {};
}

Status WindowConsumer::PruneAll() {
  for (;;) {
    const std::vector<SourceId> old = TRY(tracker_.Prunable(kMaintainedMax));
    std::vector<SourceId> gone, still_there;
    for (const SourceId& source : old) {
      const auto there = TRY(Look(source.key));
      (there && there->etag == source.etag ? still_there : gone).push_back(source);
    }
    TRY(tracker_.Prune(gone, still_there));
    {
      const std::lock_guard lock(stats_mutex_);
      stats_.pruned += gone.size();
    }
    if (old.size() < kMaintainedMax) break;
  }
  return tracker_.PruneWindows();
}

}  // namespace varve::compact
