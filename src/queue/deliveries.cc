// The half of SqliteQueue that hands messages out and takes them back: leases and their ends.
#include <algorithm>
#include <utility>

#include "queue/message_rows.h"
#include "queue/sqlite_queue.h"

namespace varve::queue {
namespace {

using state::Row;
using state::Session;

Status CheckLease(uint64_t lease_ms) {
  if (lease_ms >= 1 && lease_ms <= kDelayMsMax) return {};
  return MakeError(ErrorKind::kInvalid, "INVALID_LEASE", "a lease is 1 ms to 12 h");
}

// The message that the lease may settle: unsettled, and delivered under that lease in this life.
Result<std::optional<MessageRow>> LeasedMessage(Session& session, int64_t queue_id,
                                                const std::optional<LeaseName>& lease) {
  if (!lease) return std::optional<MessageRow>();
  auto message = TRY(FindMessage(session, queue_id, lease->message_id));
  if (message && (lease->delivery <= message->fence || lease->delivery > message->deliveries)) {
    message.reset();
  }
  return message;
}

Status AckMessage(Session& session, const MessageRow& message, Counters& delta) {
  TRY(DeleteMessage(session, message));
  delta.acked += 1;
  delta.backlog -= 1;
  delta.backlog_bytes -= message.body_bytes;
  return {};
}

// What Settle needs to know about the one call.
struct Settling {
  Session& session;
  QueueRow& queue;
  Random& random;
  int64_t now_ms;
  Counters delta;
  SettleOutcome outcome;

  Status Ack(const std::string& lease_id);
  Status Retry(const RetryRequest& request);
};

constexpr char kSettledWarning[] = "no unsettled message has this lease";

Status Settling::Ack(const std::string& lease_id) {
  const auto message = TRY(LeasedMessage(session, queue.id, ParseLease(lease_id)));
  if (!message) {
    outcome.warnings.emplace_back(lease_id, kSettledWarning);
    return {};
  }
  TRY(AckMessage(session, *message, delta));
  outcome.acked += 1;
  return {};
}

Status Settling::Retry(const RetryRequest& request) {
  const auto lease = ParseLease(request.lease_id);
  const auto message = TRY(LeasedMessage(session, queue.id, lease));
  if (!message) {
    outcome.warnings.emplace_back(request.lease_id, kSettledWarning);
    return {};
  }
  if (lease->delivery != message->deliveries) {
    outcome.warnings.emplace_back(request.lease_id, "the message was delivered again since");
    return {};
  }
  if (request.dead_letter_now || message->attempts > queue.config.max_retries) {
    std::string_view reason = request.reason;
    if (reason.empty()) reason = "retries exhausted";
    const bool moved = TRY(DeadLetter(session, queue, *message, reason, now_ms, delta));
    (moved ? outcome.dead_lettered : outcome.retried) += 1;
    return {};
  }
  const int64_t delay = request.delay_ms < 0 ? BackoffMs(queue.config, message->attempts, random)
                                             : std::min<int64_t>(request.delay_ms, kDelayMsMax);
  // An expired lease was counted as retried when it was swept; the late word only adds the delay.
  if (message->leased) delta.retried += 1;
  outcome.retried += 1;
  return HideMessage(session, message->seq, now_ms + delay, request.reason);
}

Status GiveBack(Session& session, const MessageRow& message, int64_t visible_ms, bool forgive) {
  const int64_t forgiven = forgive ? 1 : 0;
  return session.Execute(
      "UPDATE queue_messages SET leased = 0, holder = '', visible_ms = ?,"
      " attempts = MAX(0, attempts - ?) WHERE seq = ?",
      {visible_ms, forgiven, message.seq});
}

Status LeaseMessages(Session& session, const QueueRow& queue, int64_t lease_end_ms,
                     std::string_view holder, std::vector<Message>& messages) {
  for (Message& message : messages) {
    TRY(
        session.Execute("UPDATE queue_messages SET leased = 1, attempts = attempts + 1,"
                        " deliveries = deliveries + 1, visible_ms = ?, holder = ? WHERE id = ?",
                        {lease_end_ms, std::string(holder), message.id}));
  }
  return AddCounters(session, queue.id, {.delivered = static_cast<int64_t>(messages.size())});
}

Status SelectVisible(Session& session, const QueueRow& queue, int64_t now_ms, uint32_t batch_max,
                     std::vector<Message>& messages) {
  return session.Query(
      "SELECT id, body, content_type, sent_ms, attempts, deliveries, reason, source"
      " FROM queue_messages WHERE queue_id = ? AND leased = 0 AND visible_ms <= ?"
      " ORDER BY visible_ms, seq LIMIT ?",
      {queue.id, now_ms, int64_t{batch_max}}, [&](const Row& row) {
        Message message{row.Text(0),
                        row.Text(1),
                        row.Text(2),
                        row.Int(3),
                        static_cast<uint32_t>(row.Int(4) + 1),
                        FormatLease(row.Text(0), row.Int(5) + 1),
                        "",
                        row.Text(7)};
        if (!message.dead_letter_source.empty()) message.dead_letter_reason = row.Text(6);
        messages.push_back(std::move(message));
        return true;
      });
}

}  // namespace

Result<std::vector<Message>> SqliteQueue::Receive(std::string_view queue, uint32_t batch_max,
                                                  uint64_t lease_ms) {
  return ReceiveHeld(queue, batch_max, lease_ms, "");
}

Result<std::vector<Message>> SqliteQueue::ReceiveHeld(std::string_view queue_name,
                                                      uint32_t batch_max, uint64_t lease_ms,
                                                      std::string_view holder) {
  TRY(CheckLease(lease_ms));
  if (batch_max < 1 || batch_max > kBatchMax) {
    return MakeError(ErrorKind::kInvalid, "INVALID_BATCH_SIZE", "a batch is 1 to 100 messages");
  }
  std::vector<Message> messages;
  TRY(database_.Transact([&](Session& session) -> Status {
    const int64_t now = clock_.NowMs();
    QueueRow queue = TRY(LoadQueue(session, queue_name));
    TRY(SweepExpired(session, queue, now));
    TRY(SelectVisible(session, queue, now, batch_max, messages));
    if (messages.empty()) return {};
    return LeaseMessages(session, queue, now + static_cast<int64_t>(lease_ms), holder, messages);
  }));
  return messages;
}

Result<SettleOutcome> SqliteQueue::Settle(std::string_view queue_name,
                                          const std::vector<std::string>& acks,
                                          const std::vector<RetryRequest>& retries) {
  SettleOutcome outcome;
  TRY(database_.Transact([&](Session& session) -> Status {
    const int64_t now = clock_.NowMs();
    QueueRow queue = TRY(LoadQueue(session, queue_name));
    Settling settling{session, queue, random_, now, {}, {}};
    // Acks come before the sweep: a late ack of a message that would now be dead-lettered holds.
    for (const std::string& lease_id : acks) TRY(settling.Ack(lease_id));
    TRY(SweepExpired(session, queue, now));
    for (const RetryRequest& request : retries) TRY(settling.Retry(request));
    TRY(AddCounters(session, queue.id, settling.delta));
    outcome = std::move(settling.outcome);
    return {};
  }));
  if (outcome.retried + outcome.dead_lettered > 0) Wake();
  return outcome;
}

Result<uint32_t> SqliteQueue::AckIn(Session& session, std::string_view queue_name,
                                    std::span<const std::string> lease_ids) {
  const QueueRow queue = TRY(LoadQueue(session, queue_name));
  Counters delta;
  for (const std::string& lease_id : lease_ids) {
    const auto message = TRY(LeasedMessage(session, queue.id, ParseLease(lease_id)));
    if (message) TRY(AckMessage(session, *message, delta));
  }
  TRY(AddCounters(session, queue.id, delta));
  return static_cast<uint32_t>(delta.acked);
}

Result<uint32_t> SqliteQueue::ExtendAll(std::string_view queue_name,
                                        std::span<const std::string> lease_ids, uint64_t lease_ms) {
  TRY(CheckLease(lease_ms));
  uint32_t extended = 0;
  TRY(database_.Transact([&](Session& session) -> Status {
    const int64_t now = clock_.NowMs();
    QueueRow queue = TRY(LoadQueue(session, queue_name));
    TRY(SweepExpired(session, queue, now));
    for (const std::string& lease_id : lease_ids) {
      const auto lease = ParseLease(lease_id);
      const auto message = TRY(LeasedMessage(session, queue.id, lease));
      if (!message || !message->leased || lease->delivery != message->deliveries) continue;
      TRY(session.Execute("UPDATE queue_messages SET visible_ms = ? WHERE seq = ?",
                          {now + static_cast<int64_t>(lease_ms), message->seq}));
      ++extended;
    }
    return {};
  }));
  return extended;
}

Status SqliteQueue::Extend(std::string_view queue_name, std::string_view lease_id,
                           uint64_t lease_ms) {
  const std::string one(lease_id);
  if (TRY(ExtendAll(queue_name, std::span(&one, 1), lease_ms)) == 1) return {};
  return MakeError(ErrorKind::kConflict, "LEASE_LOST",
                   "lease " + one.substr(0, 64) + " is no longer current");
}

Result<uint64_t> SqliteQueue::Release(std::string_view queue_name,
                                      std::span<const std::string> lease_ids, uint64_t delay_ms) {
  uint64_t released = 0;
  TRY(database_.Transact([&](Session& session) -> Status {
    const int64_t now = clock_.NowMs();
    QueueRow queue = TRY(LoadQueue(session, queue_name));
    TRY(SweepExpired(session, queue, now));
    for (const std::string& lease_id : lease_ids) {
      const auto lease = ParseLease(lease_id);
      const auto message = TRY(LeasedMessage(session, queue.id, lease));
      if (!message || !message->leased || lease->delivery != message->deliveries) continue;
      const int64_t delay = std::min<int64_t>(static_cast<int64_t>(delay_ms), kDelayMsMax);
      TRY(GiveBack(session, *message, now + delay, /*forgive=*/true));
      ++released;
    }
    return {};
  }));
  if (released > 0) Wake();
  return released;
}

Result<uint64_t> SqliteQueue::ReleaseHolder(std::string_view queue_name, std::string_view holder) {
  std::vector<MessageRow> held;
  TRY(database_.Transact([&](Session& session) -> Status {
    const QueueRow queue = TRY(LoadQueue(session, queue_name));
    TRY(
        session.Query("SELECT seq, deliveries FROM queue_messages"
                      " WHERE queue_id = ? AND leased = 1 AND holder = ?",
                      {queue.id, std::string(holder)}, [&](const Row& row) {
                        held.push_back({.seq = row.Int(0), .id = {}, .deliveries = row.Int(1)});
                        return true;
                      }));
    for (const MessageRow& message : held) {
      const bool forgive = message.deliveries <= kBlamelessDeliveriesMax;
      TRY(GiveBack(session, message, clock_.NowMs(), forgive));
    }
    return {};
  }));
  if (!held.empty()) Wake();
  return held.size();
}

Result<uint64_t> SqliteQueue::Replay(std::string_view dead_letter_queue, uint64_t messages_max) {
  uint64_t replayed = 0;
  TRY(database_.Transact([&](Session& session) -> Status {
    const QueueRow from = TRY(LoadQueue(session, dead_letter_queue));
    std::vector<std::pair<MessageRow, std::string>> dead;
    TRY(session.Query(
        "SELECT seq, body_bytes, source FROM queue_messages"
        " WHERE queue_id = ? AND leased = 0 AND source <> '' ORDER BY sent_ms, seq LIMIT ?",
        {from.id, static_cast<int64_t>(std::min<uint64_t>(messages_max, 100'000))},
        [&](const Row& row) {
          dead.push_back({{.seq = row.Int(0), .id = {}, .body_bytes = row.Int(1)}, row.Text(2)});
          return true;
        }));
    const int64_t now = clock_.NowMs();
    for (const auto& [message, source] : dead) {
      const QueueRow to = TRY(LoadQueue(session, source));
      if (to.counters.backlog >= static_cast<int64_t>(to.config.messages_max)) continue;
      TRY(session.Execute(
          "UPDATE queue_messages SET queue_id = ?, attempts = 0, fence = deliveries,"
          " visible_ms = ?, reason = '', source = '' WHERE seq = ?",
          {to.id, now, message.seq}));
      TRY(AddCounters(session, to.id,
                      {.sent = 1, .backlog = 1, .backlog_bytes = message.body_bytes}));
      TRY(AddCounters(session, from.id, {.backlog = -1, .backlog_bytes = -message.body_bytes}));
      ++replayed;
    }
    return {};
  }));
  if (replayed > 0) Wake();
  return replayed;
}

}  // namespace varve::queue
