#include "queue/message_rows.h"

#include <algorithm>
#include <charconv>

#include "core/log.h"

namespace varve::queue {
namespace {

using state::Row;
using state::Session;

// visible_ms leads every scan: `(queue_id, leased, visible_ms)` answers "visible now, oldest
// first", "leases that have run out" and "how many are leased" alike. Retried messages get a later
// visible_ms, so a message that keeps failing never stands in front of the others.
constexpr state::Migration kMigrations[] = {
    {1, R"sql(
      CREATE TABLE queues (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        max_retries INTEGER NOT NULL,
        dead_letter_queue TEXT NOT NULL,
        retry_base_ms INTEGER NOT NULL,
        retry_delay_max_ms INTEGER NOT NULL,
        messages_max INTEGER NOT NULL,
        sent INTEGER NOT NULL DEFAULT 0,
        delivered INTEGER NOT NULL DEFAULT 0,
        acked INTEGER NOT NULL DEFAULT 0,
        retried INTEGER NOT NULL DEFAULT 0,
        dead_lettered INTEGER NOT NULL DEFAULT 0,
        deduplicated INTEGER NOT NULL DEFAULT 0,
        backlog INTEGER NOT NULL DEFAULT 0,
        backlog_bytes INTEGER NOT NULL DEFAULT 0
      ) STRICT;
      CREATE TABLE queue_messages (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        queue_id INTEGER NOT NULL REFERENCES queues(id),
        id TEXT NOT NULL UNIQUE,
        body ANY NOT NULL,
        body_bytes INTEGER NOT NULL,
        content_type TEXT NOT NULL,
        sent_ms INTEGER NOT NULL,
        visible_ms INTEGER NOT NULL,
        leased INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        deliveries INTEGER NOT NULL DEFAULT 0,
        fence INTEGER NOT NULL DEFAULT 0,
        holder TEXT NOT NULL DEFAULT '',
        reason TEXT NOT NULL DEFAULT '',
        source TEXT NOT NULL DEFAULT ''
      ) STRICT;
      CREATE INDEX queue_messages_visible ON queue_messages(queue_id, leased, visible_ms);
      CREATE INDEX queue_messages_sent ON queue_messages(queue_id, sent_ms);
      CREATE TABLE queue_dedup (
        queue_id INTEGER NOT NULL,
        key TEXT NOT NULL,
        until_ms INTEGER NOT NULL,
        PRIMARY KEY (queue_id, key)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX queue_dedup_until ON queue_dedup(until_ms);
    )sql"},
};

std::string CutReason(std::string_view reason) {
  return std::string(reason.substr(0, kReasonBytesMax));
}

}  // namespace

Status MigrateQueue(state::Database& database) { return database.Migrate("queue", kMigrations); }

std::string FormatLease(std::string_view message_id, int64_t delivery) {
  return std::string(message_id) + "." + std::to_string(delivery);
}

std::optional<LeaseName> ParseLease(std::string_view lease_id) {
  const size_t dot = lease_id.find('.');
  if (dot == std::string_view::npos || dot == 0 || lease_id.size() > 64) return std::nullopt;
  LeaseName lease{std::string(lease_id.substr(0, dot)), 0};
  const std::string_view number = lease_id.substr(dot + 1);
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), lease.delivery);
  if (error != std::errc() || end != number.data() + number.size() || lease.delivery < 1) {
    return std::nullopt;
  }
  return lease;
}

Result<QueueRow> LoadQueue(Session& session, std::string_view name) {
  QueueRow queue;
  TRY(session.Query(
      "SELECT id, max_retries, dead_letter_queue, retry_base_ms, retry_delay_max_ms, messages_max,"
      " sent, delivered, acked, retried, dead_lettered, deduplicated, backlog, backlog_bytes"
      " FROM queues WHERE name = ?",
      {std::string(name)}, [&](const Row& row) {
        queue.id = row.Int(0);
        queue.config = {.name = std::string(name),
                        .max_retries = static_cast<uint32_t>(row.Int(1)),
                        .dead_letter_queue = row.Text(2),
                        .retry_base_ms = static_cast<uint32_t>(row.Int(3)),
                        .retry_delay_max_ms = static_cast<uint32_t>(row.Int(4)),
                        .messages_max = static_cast<uint64_t>(row.Int(5))};
        queue.counters = {row.Int(6),  row.Int(7),  row.Int(8),  row.Int(9),
                          row.Int(10), row.Int(11), row.Int(12), row.Int(13)};
        return false;
      }));
  if (queue.id == 0) {
    return MakeError(ErrorKind::kNotFound, "QUEUE_NOT_FOUND",
                     "no queue named \"" + std::string(name.substr(0, 64)) + "\"");
  }
  return queue;
}

Status AddCounters(Session& session, int64_t queue_id, const Counters& delta) {
  return session.Execute(
      "UPDATE queues SET sent = sent + ?, delivered = delivered + ?, acked = acked + ?,"
      " retried = retried + ?, dead_lettered = dead_lettered + ?, deduplicated = deduplicated + ?,"
      " backlog = backlog + ?, backlog_bytes = backlog_bytes + ? WHERE id = ?",
      {delta.sent, delta.delivered, delta.acked, delta.retried, delta.dead_lettered,
       delta.deduplicated, delta.backlog, delta.backlog_bytes, queue_id});
}

Result<std::optional<MessageRow>> FindMessage(Session& session, int64_t queue_id,
                                              std::string_view id) {
  std::optional<MessageRow> found;
  TRY(session.Query(
      "SELECT seq, body_bytes, attempts, deliveries, fence, leased FROM queue_messages"
      " WHERE id = ? AND queue_id = ?",
      {std::string(id), queue_id}, [&](const Row& row) {
        found = MessageRow{row.Int(0), std::string(id), row.Int(1),     row.Int(2),
                           row.Int(3), row.Int(4),      row.Int(5) != 0};
        return false;
      }));
  return found;
}

Status DeleteMessage(Session& session, const MessageRow& message) {
  return session.Execute("DELETE FROM queue_messages WHERE seq = ?", {message.seq});
}

Status HideMessage(Session& session, int64_t seq, int64_t visible_ms, std::string_view reason) {
  return session.Execute(
      "UPDATE queue_messages SET leased = 0, holder = '', visible_ms = ?, reason = ?"
      " WHERE seq = ?",
      {visible_ms, CutReason(reason), seq});
}

Result<bool> DeadLetter(Session& session, QueueRow& queue, const MessageRow& message,
                        std::string_view reason, int64_t now_ms, Counters& delta) {
  const std::string& target_name = queue.config.dead_letter_queue;
  if (target_name.empty()) {
    TRY(DeleteMessage(session, message));
    LogWarn("queue.message_dropped",
            {{"queue", queue.config.name}, {"id", message.id}, {"reason", reason}});
  } else {
    const QueueRow target = TRY(LoadQueue(session, target_name));
    if (target.counters.backlog >= static_cast<int64_t>(target.config.messages_max)) {
      LogError("queue.dead_letter_queue_full", {{"queue", target_name}, {"id", message.id}});
      TRY(HideMessage(session, message.seq, now_ms + queue.config.retry_delay_max_ms, reason));
      return false;
    }
    TRY(session.Execute(
        "UPDATE queue_messages SET queue_id = ?, leased = 0, holder = '', attempts = 0,"
        " fence = deliveries, visible_ms = ?, reason = ?, source = ? WHERE seq = ?",
        {target.id, now_ms, CutReason(reason), queue.config.name, message.seq}));
    TRY(AddCounters(session, target.id,
                    {.sent = 1, .backlog = 1, .backlog_bytes = message.body_bytes}));
    LogWarn("queue.dead_lettered", {{"queue", queue.config.name},
                                    {"dead_letter_queue", target_name},
                                    {"id", message.id},
                                    {"reason", reason}});
  }
  delta.dead_lettered += 1;
  delta.backlog -= 1;
  delta.backlog_bytes -= message.body_bytes;
  return true;
}

Status SweepExpired(Session& session, QueueRow& queue, int64_t now_ms) {
  std::vector<MessageRow> expired;
  TRY(session.Query(
      "SELECT seq, id, body_bytes, attempts FROM queue_messages"
      " WHERE queue_id = ? AND leased = 1 AND visible_ms <= ? ORDER BY visible_ms, seq",
      {queue.id, now_ms}, [&](const Row& row) {
        expired.push_back({.seq = row.Int(0),
                           .id = row.Text(1),
                           .body_bytes = row.Int(2),
                           .attempts = row.Int(3)});
        return true;
      }));
  if (expired.empty()) return {};
  Counters delta;
  for (const MessageRow& message : expired) {
    if (message.attempts > queue.config.max_retries) {
      TRY(DeadLetter(session, queue, message, "lease expired", now_ms, delta));
      continue;
    }
    delta.retried += 1;
    TRY(HideMessage(session, message.seq, now_ms, "lease expired"));
  }
  return AddCounters(session, queue.id, delta);
}

int64_t BackoffMs(const QueueConfig& config, int64_t attempts, Random& random) {
  const int64_t longest = config.retry_delay_max_ms;
  const int64_t shift = std::clamp<int64_t>(attempts - 1, 0, 30);
  const int64_t delay = std::min<int64_t>(longest, int64_t{config.retry_base_ms} << shift);
  if (delay < 2) return delay;
  const int64_t jitter = static_cast<int64_t>(random.Below(delay / 2 + 1)) - delay / 4;
  return std::min(longest, delay + jitter);
}

}  // namespace varve::queue
