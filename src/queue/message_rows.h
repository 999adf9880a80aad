// What the queue's tables hold and the moves between their states, each inside a transaction of
// the caller. States of a message: visible or delayed (leased = 0, visible_ms), leased (leased = 1,
// visible_ms = the lease's end), settled (no row, or moved to the dead-letter queue's rows).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "queue/queue.h"
#include "state/database.h"

namespace varve::queue {

inline constexpr int64_t kBlamelessDeliveriesMax = 32;
inline constexpr size_t kReasonBytesMax = 1'000;

Status MigrateQueue(state::Database& database);

// Changes of one queue's counters, gathered in a transaction and written once at its end.
struct Counters {
  int64_t sent = 0, delivered = 0, acked = 0, retried = 0, dead_lettered = 0, deduplicated = 0;
  int64_t backlog = 0, backlog_bytes = 0;
};

struct QueueRow {
  int64_t id = 0;
  QueueConfig config;
  Counters counters;
};

struct MessageRow {
  int64_t seq = 0;
  std::string id;
  int64_t body_bytes = 0;
  int64_t attempts = 0;
  int64_t deliveries = 0;
  int64_t fence = 0;  // deliveries up to this one belong to an earlier life and settle nothing
  bool leased = false;
};

struct LeaseName {
  std::string message_id;
  int64_t delivery = 0;
};
std::string FormatLease(std::string_view message_id, int64_t delivery);
std::optional<LeaseName> ParseLease(std::string_view lease_id);

Result<QueueRow> LoadQueue(state::Session& session, std::string_view name);  // kNotFound
Status AddCounters(state::Session& session, int64_t queue_id, const Counters& delta);
Result<std::optional<MessageRow>> FindMessage(state::Session& session, int64_t queue_id,
                                              std::string_view id);

Status DeleteMessage(state::Session& session, const MessageRow& message);
Status HideMessage(state::Session& session, int64_t seq, int64_t visible_ms,
                   std::string_view reason);
// Moves the message to the queue's dead-letter queue, or deletes it where there is none. Where
// the dead-letter queue is full it stays, and comes back after the longest retry delay: false.
Result<bool> DeadLetter(state::Session& session, QueueRow& queue, const MessageRow& message,
                        std::string_view reason, int64_t now_ms, Counters& delta);
// Ends the leases that have run out: back to visible, or dead-lettered with "lease expired".
Status SweepExpired(state::Session& session, QueueRow& queue, int64_t now_ms);

int64_t BackoffMs(const QueueConfig& config, int64_t attempts, Random& random);

}  // namespace varve::queue
