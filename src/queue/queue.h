// Named queues, at least once. A message is sent, received under a lease, then acked, or retried
// with exponential backoff and jitter; after max_retries retries it goes to the dead-letter queue
// with its body and the reason. A lease that runs out counts as a failed attempt. A lease is
// fenced by the delivery it was given for: the ack of an older delivery still settles the message
// unless it was already settled, as Cloudflare Queues has it. All calls are thread-safe and
// durable.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace varve::queue {

struct QueueConfig {
  std::string name;               // [a-z0-9][a-z0-9._-]{0,62}
  uint32_t max_retries = 3;       // 0 to 100
  std::string dead_letter_queue;  // empty: an exhausted message is deleted and counted
  uint32_t retry_base_ms = 1000;  // backoff = base * 2^(attempt-1), ±25 % jitter, capped
  uint32_t retry_delay_max_ms = 300'000;
  uint64_t messages_max = 10'000'000;  // bound of the backlog; Send beyond it is kExhausted
};

struct SendOptions {
  std::string content_type = "json";  // "json" | "text" | "bytes"
  uint64_t delay_ms = 0;              // at most 12 h
  // A message with the dedup key of one sent to this queue in the last dedup_window_ms is not sent
  // again: notifications use bucket/key/etag.
  std::string dedup_key;
  uint64_t dedup_window_ms = 86'400'000;
};

struct Message {
  std::string id;
  std::string body;
  std::string content_type;
  int64_t sent_ms = 0;
  uint32_t attempts = 0;           // deliveries so far, this one included (peek: without)
  std::string lease_id;            // peek: a ref instead
  std::string dead_letter_reason;  // only in a dead-letter queue
  std::string dead_letter_source;  // the queue it came from
};

struct RetryRequest {
  std::string lease_id;
  std::string reason;            // kept; becomes the dead letter's reason
  int64_t delay_ms = -1;         // -1: backoff
  bool dead_letter_now = false;  // do not retry: the message can never succeed
};

struct SettleOutcome {
  uint32_t acked = 0;
  uint32_t retried = 0;
  uint32_t dead_lettered = 0;
  std::vector<std::pair<std::string, std::string>> warnings;  // lease id, what was wrong with it
};

struct QueueStats {
  std::string name;
  uint64_t sent = 0, delivered = 0, acked = 0, retried = 0, dead_lettered = 0, deduplicated = 0;
  uint64_t backlog = 0, backlog_bytes = 0, leased = 0;
  int64_t oldest_message_ms = 0;  // when the oldest unsettled message was sent; 0: none
  std::string dead_letter_queue;
};

class Queue {
 public:
  virtual ~Queue() = default;
  virtual Status Declare(const QueueConfig& config) = 0;  // makes it, or changes its settings
  // The message's id, or "" where it was deduplicated. kNotFound: no such queue.
  virtual Result<std::string> Send(std::string_view queue, std::string_view body,
                                   const SendOptions& options) = 0;
  // Up to batch_max (1 to 100) visible messages, oldest first; none is not an error.
  virtual Result<std::vector<Message>> Receive(std::string_view queue, uint32_t batch_max,
                                               uint64_t lease_ms) = 0;
  virtual Result<SettleOutcome> Settle(std::string_view queue, const std::vector<std::string>& acks,
                                       const std::vector<RetryRequest>& retries) = 0;
  // Makes a lease longer, counted from now. kConflict: it is no longer the current one.
  virtual Status Extend(std::string_view queue, std::string_view lease_id, uint64_t lease_ms) = 0;
  virtual Result<std::vector<Message>> Peek(std::string_view queue, uint32_t batch_max) = 0;
  virtual Result<uint64_t> Purge(std::string_view queue, const std::vector<std::string>& refs) = 0;
  virtual Result<uint64_t> PurgeAll(std::string_view queue) = 0;
  // Moves up to messages_max dead letters back to the queues they came from, attempts at zero.
  virtual Result<uint64_t> Replay(std::string_view dead_letter_queue, uint64_t messages_max) = 0;
  virtual Result<QueueStats> Stats(std::string_view queue) = 0;
  virtual Result<std::vector<QueueStats>> List() = 0;
  // Returns when the queue has a visible message, was closed, or timeout_ms passed.
  virtual void WaitForMessages(std::string_view queue, uint64_t timeout_ms) = 0;
};

}  // namespace varve::queue
