// The half of SqliteQueue that waits. A waiter reads the generation, then asks the database, then
// sleeps until the generation has moved on, so a message sent in between is never slept through.
#include <algorithm>
#include <chrono>

#include "queue/message_rows.h"
#include "queue/sqlite_queue.h"

namespace varve::queue {
namespace {

using state::Row;
using state::Session;

// Sends of other processes and steps of the clock are noticed at least this often.
constexpr uint64_t kRecheckMs = 1'000;

}  // namespace

Result<SqliteQueue::Visible> SqliteQueue::CountVisible(std::string_view queue_name,
                                                       uint32_t count_max) {
  Visible visible;
  TRY(database_.Run([&](Session& session) -> Status {
    const int64_t now = clock_.NowMs();
    const QueueRow queue = TRY(LoadQueue(session, queue_name));
    TRY(session.Query(
        "SELECT COUNT(*), MIN(visible_ms) FROM (SELECT visible_ms FROM queue_messages"
        " WHERE queue_id = ?1 AND leased = 0 AND visible_ms <= ?2 ORDER BY visible_ms LIMIT ?3)",
        {queue.id, now, int64_t{count_max}}, [&](const Row& row) {
          visible.count = static_cast<uint64_t>(row.Int(0));
          visible.first_ms = row.IsNull(1) ? 0 : row.Int(1);
          return false;
        }));
    return session.Query(
        "SELECT (SELECT MIN(visible_ms) FROM queue_messages WHERE queue_id = ?1"
        " AND leased = 0 AND visible_ms > ?2), (SELECT MIN(visible_ms) FROM queue_messages"
        " WHERE queue_id = ?1 AND leased = 1)",
        {queue.id, now}, [&](const Row& row) {
          const int64_t delayed = row.IsNull(0) ? 0 : row.Int(0);
          const int64_t leased = row.IsNull(1) ? 0 : std::max(now, row.Int(1));
          if (leased == now && leased != 0) {  // a lease has run out: a Receive will sweep it
            visible.count = std::max<uint64_t>(visible.count, 1);
            if (visible.first_ms == 0) visible.first_ms = now;
          }
          visible.next_ms = delayed == 0  ? leased
                            : leased == 0 ? delayed
                                          : std::min(delayed, leased);
          return false;
        });
  }));
  return visible;
}

uint64_t SqliteQueue::Generation() {
  const std::lock_guard lock(mutex_);
  return generation_;
}

void SqliteQueue::Wake() {
  {
    const std::lock_guard lock(mutex_);
    ++generation_;
  }
  woken_.notify_all();
}

void SqliteQueue::Close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  woken_.notify_all();
}

bool SqliteQueue::SleepUntilWoken(uint64_t seen, uint64_t ms, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  return woken_.wait_for(lock, stop, std::chrono::milliseconds(ms), [&] {
    return closed_ || generation_ != seen;
  }) || stop.stop_requested();
}

bool SqliteQueue::Wait(std::string_view queue, uint64_t timeout_ms, std::stop_token stop) {
  const int64_t start_ns = clock_.MonotonicNs();
  uint64_t slept_ms = 0;  // for a clock that stands still while we sleep
  while (!stop.stop_requested()) {
    const uint64_t seen = Generation();
    const Result<Visible> visible = CountVisible(queue, 1);
    if (!visible.ok() || visible->count > 0) return true;
    const uint64_t elapsed_ms =
        std::max(slept_ms, static_cast<uint64_t>((clock_.MonotonicNs() - start_ns) / 1'000'000));
    if (elapsed_ms >= timeout_ms) return true;
    uint64_t slice_ms = std::min(timeout_ms - elapsed_ms, kRecheckMs);
    if (visible->next_ms > 0) {
      const int64_t until = std::max<int64_t>(1, visible->next_ms - clock_.NowMs());
      slice_ms = std::min(slice_ms, static_cast<uint64_t>(until));
    }
    if (!SleepUntilWoken(seen, slice_ms, stop)) slept_ms += slice_ms;
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
  }
  return false;
}

void SqliteQueue::WaitForMessages(std::string_view queue, uint64_t timeout_ms) {
  Wait(queue, timeout_ms, std::stop_token());
}

Result<std::vector<Message>> SqliteQueue::ReceiveBatch(std::string_view queue,
                                                       const BatchOptions& options,
                                                       std::stop_token stop) {
  if (!Wait(queue, options.batch_timeout_ms, stop)) return std::vector<Message>();
  int64_t waited_ms = 0;
  while (!stop.stop_requested()) {
    const uint64_t seen = Generation();
    const Visible visible = TRY(CountVisible(queue, options.batch_max));
    if (visible.count == 0 || visible.count >= options.batch_max) break;
    const int64_t age_ms = std::max(clock_.NowMs() - visible.first_ms, waited_ms);
    const int64_t rest_ms = static_cast<int64_t>(options.batch_timeout_ms) - age_ms;
    if (rest_ms <= 0) break;
    const uint64_t slice_ms = std::min<uint64_t>(static_cast<uint64_t>(rest_ms), kRecheckMs);
    if (!SleepUntilWoken(seen, slice_ms, stop)) waited_ms += static_cast<int64_t>(slice_ms);
    const std::lock_guard lock(mutex_);
    if (closed_) break;
  }
  return ReceiveHeld(queue, options.batch_max, options.lease_ms, options.holder);
}

}  // namespace varve::queue
