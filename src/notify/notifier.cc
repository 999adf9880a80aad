#include "notify/notifier.h"

#include "core/crash_point.h"
#include "core/log.h"
#include "notify/notification.h"

namespace varve::notify {
namespace {

using state::Row;
using state::Session;

const CrashPoint kBeforeAnnounce{"notify.before_announce"};
const CrashPoint kInAnnounce{"notify.in_announce"};
const CrashPoint kAfterAnnounce{"notify.after_announce"};

constexpr state::Migration kMigrations[] = {
    {1, R"sql(
      CREATE TABLE notify_announced (
        rule TEXT NOT NULL,
        key TEXT NOT NULL,
        etag TEXT NOT NULL,
        PRIMARY KEY (rule, key)
      ) STRICT, WITHOUT ROWID;
    )sql"},
};

std::vector<std::string> IdsOf(const std::vector<NotifyRule>& rules) {
  std::vector<std::string> ids;
  for (const NotifyRule& rule : rules) ids.push_back(rule.Id());
  return ids;
}

}  // namespace

Result<std::unique_ptr<Notifier>> Notifier::Open(NotifierOptions options, state::Database& database,
                                                 queue::SqliteQueue& queue, const Clock& clock) {
  TRY(CheckRules(options.rules));
  TRY(database.Migrate("notify", kMigrations));
  return std::unique_ptr<Notifier>(new Notifier(std::move(options), database, queue, clock));
}

Notifier::Notifier(NotifierOptions options, state::Database& database, queue::SqliteQueue& queue,
                   const Clock& clock)
    : options_(std::move(options)),
      rule_ids_(IdsOf(options_.rules)),
      database_(database),
      queue_(queue),
      clock_(clock) {}

Notifier::~Notifier() { Stop(); }

Result<bool> Notifier::Announce(size_t rule_index, const store::ObjectMeta& object) {
  const NotifyRule& rule = options_.rules[rule_index];
  bool announced = false;
  kBeforeAnnounce.Hit();
  TRY(database_.Transact([&](Session& session) -> Status {
    bool known = false;
    TRY(session.Query("SELECT etag FROM notify_announced WHERE rule = ? AND key = ?",
                      {rule_ids_[rule_index], object.key}, [&](const Row& row) {
                        known = row.Text(0) == object.etag;
                        return false;
                      }));
    if (known) return {};
    TRY(
        session.Execute("INSERT INTO notify_announced (rule, key, etag) VALUES (?, ?, ?)"
                        " ON CONFLICT (rule, key) DO UPDATE SET etag = excluded.etag",
                        {rule_ids_[rule_index], object.key, object.etag}));
    kInAnnounce.Hit();
    if (!rule.TellsCreated()) return {};
    queue::SendOptions send;
    send.dedup_key = options_.bucket + "/" + object.key + "/" + object.etag;
    const int64_t time_ms = object.modified_ms > 0 ? object.modified_ms : clock_.NowMs();
    TRY(queue_.SendIn(session, rule.queue,
                      WriteCreated(options_.account, options_.bucket, "PutObject", object, time_ms),
                      send));
    announced = true;
    return {};
  }));
  kAfterAnnounce.Hit();
  if (announced) queue_.Wake();
  return announced;
}

Result<bool> Notifier::Forget(size_t rule_index, std::string_view key) {
  const NotifyRule& rule = options_.rules[rule_index];
  bool was_announced = false;
  bool sent = false;
  TRY(database_.Transact([&](Session& session) -> Status {
    TRY(session.Execute("DELETE FROM notify_announced WHERE rule = ? AND key = ?",
                        {rule_ids_[rule_index], std::string(key)}));
    was_announced = session.changes() > 0;
    if (!was_announced || !rule.TellsDeleted()) return {};
    TRY(queue_.SendIn(
        session, rule.queue,
        WriteDeleted(options_.account, options_.bucket, "DeleteObject", key, clock_.NowMs()), {}));
    sent = true;
    return {};
  }));
  if (sent) {
    queue_.Wake();
    const std::lock_guard lock(stats_mutex_);
    ++stats_.deletes_announced;
  }
  return was_announced;
}

void Notifier::OnObjectCreated(const store::ObjectMeta& object) {
  for (size_t rule = 0; rule < options_.rules.size(); ++rule) {
    if (!options_.rules[rule].Matches(object.key)) continue;
    const Result<bool> announced = Announce(rule, object);
    if (!announced.ok()) {
      LogError("notify.announce_failed",
               {{"key", object.key}, {"error", announced.error().message}});
    }
    const std::lock_guard lock(stats_mutex_);
    if (!announced.ok()) ++stats_.announce_failures;
    if (announced.ok() && *announced) ++stats_.announced;
  }
}

void Notifier::OnObjectDeleted(std::string_view key) {
  for (size_t rule = 0; rule < options_.rules.size(); ++rule) {
    if (!options_.rules[rule].Matches(key)) continue;
    const Result<bool> forgotten = Forget(rule, key);
    if (forgotten.ok()) continue;
    LogError("notify.forget_failed", {{"key", key}, {"error", forgotten.error().message}});
    const std::lock_guard lock(stats_mutex_);
    ++stats_.announce_failures;
  }
}

void Notifier::Start(store::ObjectStore& store) {
  thread_ = std::jthread([this, &store](std::stop_token stop) { Loop(store, stop); });
}

void Notifier::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

NotifyStats Notifier::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return stats_;
}

}  // namespace varve::notify
