// The queue of queue.h on the relational state: every call is one transaction, so a message is
// settled, moved or leased whole or not at all, and the counters never disagree with the rows.
//
// A message's row carries two numbers: `attempts`, which counts towards max_retries, and
// `deliveries`, which only grows and names the lease ("<message id>.<delivery>"). A lease that is
// given back without blame (Release, ReleaseHolder) takes its attempt back and keeps its delivery.
//
// SendIn and AckIn do the same inside somebody else's transaction: the compaction ledger commits
// "sources processed, messages acked, downstream sent" at once, and notify "announced and sent".
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "queue/queue.h"
#include "state/database.h"

namespace varve::queue {

inline constexpr uint64_t kBodyBytesMax = 128'000;
inline constexpr uint64_t kDelayMsMax = 43'200'000;  // 12 h, for delays and leases
inline constexpr uint32_t kBatchMax = 100;
inline constexpr uint32_t kRetriesMax = 100;
inline constexpr uint32_t kDeadLetterRetries = 100;  // of a queue made to hold dead letters

struct BatchOptions {
  uint32_t batch_max = kBatchMax;
  uint64_t batch_timeout_ms = 30'000;  // counted from when the first message became visible
  uint64_t lease_ms = 60'000;
  std::string holder;
};

class SqliteQueue : public Queue {
 public:
  // The three are borrowed and outlive the queue. `random` is only used under the database's lock.
  static Result<std::unique_ptr<SqliteQueue>> Open(state::Database& database, const Clock& clock,
                                                   Random& random);
  ~SqliteQueue() override;

  Status Declare(const QueueConfig& config) override;
  Result<std::string> Send(std::string_view queue, std::string_view body,
                           const SendOptions& options) override;
  Result<std::vector<Message>> Receive(std::string_view queue, uint32_t batch_max,
                                       uint64_t lease_ms) override;
  Result<SettleOutcome> Settle(std::string_view queue, const std::vector<std::string>& acks,
                               const std::vector<RetryRequest>& retries) override;
  Status Extend(std::string_view queue, std::string_view lease_id, uint64_t lease_ms) override;
  Result<std::vector<Message>> Peek(std::string_view queue, uint32_t batch_max) override;
  Result<uint64_t> Purge(std::string_view queue, const std::vector<std::string>& refs) override;
  Result<uint64_t> PurgeAll(std::string_view queue) override;
  Result<uint64_t> Replay(std::string_view dead_letter_queue, uint64_t messages_max) override;
  Result<QueueStats> Stats(std::string_view queue) override;
  Result<std::vector<QueueStats>> List() override;
  void WaitForMessages(std::string_view queue, uint64_t timeout_ms) override;

  // Inside the caller's transaction. After its commit, call Wake() so that waiters see the message.
  Result<std::string> SendIn(state::Session& session, std::string_view queue, std::string_view body,
                             const SendOptions& options);
  // How many were acked; a lease that no longer names an unsettled message is passed over.
  Result<uint32_t> AckIn(state::Session& session, std::string_view queue,
                         std::span<const std::string> lease_ids);
  void Wake();

  // Receive under a holder's name, so that ReleaseHolder finds the leases after a restart.
  Result<std::vector<Message>> ReceiveHeld(std::string_view queue, uint32_t batch_max,
                                           uint64_t lease_ms, std::string_view holder);
  // Extends, counted from now, those of the leases that are still current: how many.
  Result<uint32_t> ExtendAll(std::string_view queue, std::span<const std::string> lease_ids,
                             uint64_t lease_ms);
  // Gives leases back without counting the attempt; visible again after delay_ms.
  Result<uint64_t> Release(std::string_view queue, std::span<const std::string> lease_ids,
                           uint64_t delay_ms);
  // Gives back every lease of a holder that is known to be gone (its process ended). A message
  // delivered more than kBlamelessDeliveriesMax times keeps its attempts: it may be what kills it.
  Result<uint64_t> ReleaseHolder(std::string_view queue, std::string_view holder);

  // Waits without a lease until batch_max messages are visible, or batch_timeout_ms have passed
  // since the first became visible, or stop; then receives what is there. Empty only on stop or
  // after batch_timeout_ms with nothing visible at all.
  Result<std::vector<Message>> ReceiveBatch(std::string_view queue, const BatchOptions& options,
                                            std::stop_token stop);
  // WaitForMessages that a stop ends at once. False: stopped or closed.
  bool Wait(std::string_view queue, uint64_t timeout_ms, std::stop_token stop);
  void Close();  // ends all waits, now and later

 private:
  struct Visible {
    uint64_t count = 0;
    int64_t first_ms = 0;  // when the first of them became visible
    int64_t next_ms = 0;   // when the next invisible one will be; 0: none
  };
  SqliteQueue(state::Database& database, const Clock& clock, Random& random)
      : database_(database), clock_(clock), random_(random) {}
  Result<Visible> CountVisible(std::string_view queue, uint32_t count_max);
  // Sleeps until a Wake after `seen`, stop, close or ms; false where it was the time.
  bool SleepUntilWoken(uint64_t seen, uint64_t ms, const std::stop_token& stop);
  uint64_t Generation();

  state::Database& database_;
  const Clock& clock_;
  Random& random_;

  std::mutex mutex_;  // guards the rest; never held while the database is used
  std::condition_variable_any woken_;
  uint64_t generation_ = 0;
  bool closed_ = false;
};

// For those who only need the interface.
Result<std::unique_ptr<Queue>> OpenSqliteQueue(state::Database& database, const Clock& clock,
                                               Random& random);

}  // namespace varve::queue
