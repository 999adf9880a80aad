#include "queue/sqlite_queue.h"

#include <algorithm>
#include <utility>

#include "core/ulid.h"
#include "queue/message_rows.h"

namespace varve::queue {
namespace {

using state::Row;
using state::Session;

constexpr uint64_t kMessagesBoundMax = 1'000'000'000;
constexpr int64_t kDedupCleanedPerSend = 16;

bool IsQueueName(std::string_view name) {
  if (name.empty() || name.size() > 63) return false;
  const auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (!alnum(name[0])) return false;
  return std::all_of(name.begin(), name.end(),
                     [&](char c) { return alnum(c) || c == '.' || c == '_' || c == '-'; });
}

Status CheckConfig(const QueueConfig& config) {
  const auto invalid = [&](std::string_view what) {
    return MakeError(ErrorKind::kInvalid, "INVALID_QUEUE",
                     "queue \"" + config.name.substr(0, 64) + "\": " + std::string(what));
  };
  if (!IsQueueName(config.name)) return invalid("name is not [a-z0-9][a-z0-9._-]{0,62}");
  if (config.max_retries > kRetriesMax) return invalid("max_retries is more than 100");
  if (config.messages_max == 0 || config.messages_max > kMessagesBoundMax) {
    return invalid("messages_max is not 1 to 1,000,000,000");
  }
  if (config.retry_delay_max_ms > kDelayMsMax) return invalid("retry_delay_max_ms is over 12 h");
  if (config.dead_letter_queue.empty()) return {};
  if (!IsQueueName(config.dead_letter_queue)) return invalid("dead_letter_queue is no queue name");
  if (config.dead_letter_queue == config.name) return invalid("it is its own dead-letter queue");
  return {};
}

Status InsertQueue(Session& session, const QueueConfig& config, bool update) {
  const std::string on_conflict = update ? "DO UPDATE SET max_retries = excluded.max_retries,"
                                           " dead_letter_queue = excluded.dead_letter_queue,"
                                           " retry_base_ms = excluded.retry_base_ms,"
                                           " retry_delay_max_ms = excluded.retry_delay_max_ms,"
                                           " messages_max = excluded.messages_max"
                                         : "DO NOTHING";
  return session.Execute(
      "INSERT INTO queues (name, max_retries, dead_letter_queue, retry_base_ms,"
      " retry_delay_max_ms, messages_max) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) " +
          on_conflict,
      {config.name, int64_t{config.max_retries}, config.dead_letter_queue,
       int64_t{config.retry_base_ms}, int64_t{config.retry_delay_max_ms},
       static_cast<int64_t>(config.messages_max)});
}

// True: a message with this key is inside its window; otherwise the window now starts.
Result<bool> SeenInWindow(Session& session, const QueueRow& queue, const SendOptions& options,
                          int64_t now_ms) {
  bool seen = false;
  TRY(session.Query("SELECT 1 FROM queue_dedup WHERE queue_id = ? AND key = ? AND until_ms > ?",
                    {queue.id, options.dedup_key, now_ms}, [&](const Row&) {
                      seen = true;
                      return false;
                    }));
  if (seen) return true;
  TRY(
      session.Execute("DELETE FROM queue_dedup WHERE (queue_id, key) IN"
                      " (SELECT queue_id, key FROM queue_dedup WHERE until_ms <= ? LIMIT ?)",
                      {now_ms, kDedupCleanedPerSend}));
  TRY(session.Execute(
      "INSERT INTO queue_dedup (queue_id, key, until_ms) VALUES (?, ?, ?)"
      " ON CONFLICT (queue_id, key) DO UPDATE SET until_ms = excluded.until_ms",
      {queue.id, options.dedup_key, now_ms + static_cast<int64_t>(options.dedup_window_ms)}));
  return false;
}

Status CheckSend(const QueueRow& queue, std::string_view body, const SendOptions& options) {
  if (body.size() > kBodyBytesMax) {
    return MakeError(ErrorKind::kInvalid, "MESSAGE_TOO_LARGE",
                     "message of " + std::to_string(body.size()) + " bytes to queue \"" +
                         queue.config.name + "\"; the limit is 128000",
                     R"({"limit_bytes":128000})");
  }
  const std::string& type = options.content_type;
  if (type != "json" && type != "text" && type != "bytes") {
    return MakeError(ErrorKind::kInvalid, "INVALID_CONTENT_TYPE",
                     "content_type is json, text or bytes");
  }
  if (options.delay_ms > kDelayMsMax) {
    return MakeError(ErrorKind::kInvalid, "INVALID_DELAY", "a message's delay is at most 12 h");
  }
  return {};
}

QueueStats StatsOf(const QueueRow& queue) {
  const Counters& counters = queue.counters;
  QueueStats stats;
  stats.name = queue.config.name;
  stats.sent = static_cast<uint64_t>(counters.sent);
  stats.delivered = static_cast<uint64_t>(counters.delivered);
  stats.acked = static_cast<uint64_t>(counters.acked);
  stats.retried = static_cast<uint64_t>(counters.retried);
  stats.dead_lettered = static_cast<uint64_t>(counters.dead_lettered);
  stats.deduplicated = static_cast<uint64_t>(counters.deduplicated);
  stats.backlog = static_cast<uint64_t>(counters.backlog);
  stats.backlog_bytes = static_cast<uint64_t>(counters.backlog_bytes);
  stats.dead_letter_queue = queue.config.dead_letter_queue;
  return stats;
}

Result<QueueStats> ReadStats(Session& session, std::string_view name, int64_t now_ms) {
  QueueRow queue = TRY(LoadQueue(session, name));
  TRY(SweepExpired(session, queue, now_ms));
  queue = TRY(LoadQueue(session, name));
  QueueStats stats = StatsOf(queue);
  TRY(session.Query(
      "SELECT (SELECT COUNT(*) FROM queue_messages WHERE queue_id = ?1 AND leased = 1),"
      " (SELECT MIN(sent_ms) FROM queue_messages WHERE queue_id = ?1)",
      {queue.id}, [&](const Row& row) {
        stats.leased = static_cast<uint64_t>(row.Int(0));
        stats.oldest_message_ms = row.IsNull(1) ? 0 : row.Int(1);
        return false;
      }));
  return stats;
}

Status DeleteAll(Session& session, const QueueRow& queue, uint64_t& deleted) {
  TRY(session.Execute("DELETE FROM queue_messages WHERE queue_id = ?", {queue.id}));
  deleted = static_cast<uint64_t>(session.changes());
  return session.Execute("UPDATE queues SET backlog = 0, backlog_bytes = 0 WHERE id = ?",
                         {queue.id});
}

}  // namespace

Result<std::unique_ptr<SqliteQueue>> SqliteQueue::Open(state::Database& database,
                                                       const Clock& clock, Random& random) {
  TRY(MigrateQueue(database));
  // A clock that has gone back (a wrong one corrected) would hide messages for as long as it went:
  // nothing may be invisible for longer than the longest delay there is.
  const int64_t now = clock.NowMs();
  TRY(database.Transact([&](Session& session) {
    return session.Execute("UPDATE queue_messages SET visible_ms = ?1 WHERE visible_ms > ?1 + ?2",
                           {now, static_cast<int64_t>(kDelayMsMax)});
  }));
  return std::unique_ptr<SqliteQueue>(new SqliteQueue(database, clock, random));
}

Result<std::unique_ptr<Queue>> OpenSqliteQueue(state::Database& database, const Clock& clock,
                                               Random& random) {
  std::unique_ptr<Queue> queue = TRY(SqliteQueue::Open(database, clock, random));
  return queue;
}

SqliteQueue::~SqliteQueue() { Close(); }

Status SqliteQueue::Declare(const QueueConfig& config) {
  TRY(CheckConfig(config));
  return database_.Transact([&](Session& session) -> Status {
    if (!config.dead_letter_queue.empty()) {
      QueueConfig dead_letters;
      dead_letters.name = config.dead_letter_queue;
      dead_letters.max_retries = kDeadLetterRetries;
      TRY(InsertQueue(session, dead_letters, /*update=*/false));
    }
    return InsertQueue(session, config, /*update=*/true);
  });
}

Result<std::string> SqliteQueue::SendIn(Session& session, std::string_view queue_name,
                                        std::string_view body, const SendOptions& options) {
  const QueueRow queue = TRY(LoadQueue(session, queue_name));
  TRY(CheckSend(queue, body, options));
  const int64_t now = clock_.NowMs();
  if (!options.dedup_key.empty() && TRY(SeenInWindow(session, queue, options, now))) {
    TRY(AddCounters(session, queue.id, {.deduplicated = 1}));
    return std::string();
  }
  if (queue.counters.backlog >= static_cast<int64_t>(queue.config.messages_max)) {
    return MakeError(ErrorKind::kExhausted, "QUEUE_FULL",
                     "queue \"" + queue.config.name + "\" holds its limit of " +
                         std::to_string(queue.config.messages_max) + " messages");
  }
  const std::string id = Ulid::Make(now, random_).ToString();
  TRY(session.Execute(
      "INSERT INTO queue_messages (queue_id, id, body, body_bytes, content_type, sent_ms,"
      " visible_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
      {queue.id, id, std::string(body), static_cast<int64_t>(body.size()), options.content_type,
       now, now + static_cast<int64_t>(options.delay_ms)}));
  TRY(AddCounters(session, queue.id,
                  {.sent = 1, .backlog = 1, .backlog_bytes = static_cast<int64_t>(body.size())}));
  return id;
}

Result<std::string> SqliteQueue::Send(std::string_view queue, std::string_view body,
                                      const SendOptions& options) {
  std::string id;
  TRY(database_.Transact([&](Session& session) -> Status {
    id = TRY(SendIn(session, queue, body, options));
    return {};
  }));
  if (!id.empty()) Wake();
  return id;
}

Result<std::vector<Message>> SqliteQueue::Peek(std::string_view queue_name, uint32_t batch_max) {
  std::vector<Message> messages;
  TRY(database_.Transact([&](Session& session) -> Status {
    const QueueRow queue = TRY(LoadQueue(session, queue_name));
    return session.Query(
        "SELECT id, body, content_type, sent_ms, attempts, reason, source FROM queue_messages"
        " WHERE queue_id = ? ORDER BY sent_ms, seq LIMIT ?",
        {queue.id, int64_t{std::clamp<uint32_t>(batch_max, 1, kBatchMax)}}, [&](const Row& row) {
          const bool dead = !row.Text(6).empty();
          messages.push_back({row.Text(0), row.Text(1), row.Text(2), row.Int(3),
                              static_cast<uint32_t>(row.Int(4)), row.Text(0),
                              dead ? row.Text(5) : "", row.Text(6)});
          return true;
        });
  }));
  return messages;
}

Result<uint64_t> SqliteQueue::Purge(std::string_view queue_name,
                                    const std::vector<std::string>& refs) {
  uint64_t purged = 0;
  TRY(database_.Transact([&](Session& session) -> Status {
    const QueueRow queue = TRY(LoadQueue(session, queue_name));
    Counters delta;
    for (const std::string& ref : refs) {
      const auto message = TRY(FindMessage(session, queue.id, ref));
      if (!message) continue;
      TRY(DeleteMessage(session, *message));
      delta.backlog -= 1;
      delta.backlog_bytes -= message->body_bytes;
      ++purged;
    }
    return AddCounters(session, queue.id, delta);
  }));
  return purged;
}

Result<uint64_t> SqliteQueue::PurgeAll(std::string_view queue_name) {
  uint64_t purged = 0;
  TRY(database_.Transact([&](Session& session) -> Status {
    return DeleteAll(session, TRY(LoadQueue(session, queue_name)), purged);
  }));
  return purged;
}

Result<QueueStats> SqliteQueue::Stats(std::string_view queue_name) {
  QueueStats stats;
  TRY(database_.Transact([&](Session& session) -> Status {
    stats = TRY(ReadStats(session, queue_name, clock_.NowMs()));
    return {};
  }));
  return stats;
}

Result<std::vector<QueueStats>> SqliteQueue::List() {
  std::vector<QueueStats> all;
  TRY(database_.Transact([&](Session& session) -> Status {
    std::vector<std::string> names;
    TRY(session.Query("SELECT name FROM queues ORDER BY name", {}, [&](const Row& row) {
      names.push_back(row.Text(0));
      return true;
    }));
    for (const std::string& name : names) {
      all.push_back(TRY(ReadStats(session, name, clock_.NowMs())));
    }
    return {};
  }));
  return all;
}

}  // namespace varve::queue
