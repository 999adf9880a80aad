#include "ingest/spent_batches.h"

#include <algorithm>

#include "core/log.h"

namespace varve::ingest {

SpentBatches::SpentBatches(state::Database& database, const Clock& clock, uint64_t window_ms)
    : database_(database),
      clock_(clock),
      window_ms_(static_cast<int64_t>(window_ms)),
      filter_(window_ms_, clock.NowMs()) {}

void SpentBatches::Restore(const journal::Journal& journal, journal::Lsn after) {
  constexpr uint32_t kWithIds = 1u << static_cast<int>(record::RecordKind::kEvents) |
                                1u << static_cast<int>(record::RecordKind::kWebhook);
  constexpr journal::Lsn kWindow = 512;  // records whose pages are resident at once
  const int64_t now_ms = clock_.NowMs();
  const journal::Lsn last = journal.last_lsn();
  std::lock_guard lock(mutex_);
  for (; after < last; after = std::min(last, after + kWindow)) {
    journal::HotRecords held = journal.Read(after, after + kWindow, kWithIds);
    for (const journal::Record& record : held.records) {
      if (record.batch_id.empty() || record.received_ms + window_ms_ <= now_ms) continue;
      BatchKey key(record.ns, record.batch_id);
      filter_.Add(key.first, key.second, now_ms);
      entries_[key] = {true, record.lsn, record.received_ms + window_ms_, {}};
      by_lsn_.emplace_back(record.lsn, std::move(key));
    }
  }
  LoadFilter();
}

void SpentBatches::LoadFilter() {
  const int64_t now_ms = clock_.NowMs();
  Status loaded = database_.Run([&](state::Session& session) {
    return session.Query("SELECT ns, batch_id FROM ingest_dedup WHERE expires_ms > ?", {now_ms},
                         [&](const state::Row& row) {
                           filter_.Add(row.Text(0), row.Text(1), now_ms);
                           return true;
                         });
  });
  // A filter that misses ids would let duplicates in, and there is no one to tell: it cannot go on.
  if (!loaded.ok()) LogError("ingest.dedup_unreadable", {{"error", loaded.error().message}});
  CHECK(loaded.ok());
}

Result<SpentBatches::Claim> SpentBatches::TryClaim(const BatchKey& key, Waiter waiter) {
  {
    std::lock_guard lock(mutex_);
    auto [entry, is_new] = entries_.try_emplace(key);
    if (!is_new) {
      if (!entry->second.spent) {
        entry->second.waiters.push_back(std::move(waiter));
        return Claim::kWaiting;
      }
      if (entry->second.expires_ms > clock_.NowMs()) return Claim::kSpent;
      entry->second = {};  // the window is over: as if it had never been
    }
    if (!filter_.MayHold(key.first, key.second)) return Claim::kMine;
  }
  // Only after the claim: an id leaves memory after it is in the state, so one of the two has it.
  Result<bool> found = IsInState(key);
  if (!found.ok()) {
    Settle(key, 0, found.error());
    return std::move(found).error();
  }
  if (!*found) return Claim::kMine;
  Settle(key, 0, {});
  return Claim::kSpent;
}

Result<bool> SpentBatches::IsInState(const BatchKey& key) {
  bool found = false;
  TRY(database_.Run([&](state::Session& session) {
    return session.Query(
        "SELECT 1 FROM ingest_dedup WHERE ns = ? AND batch_id = ? AND expires_ms > ?",
        {key.first, key.second, clock_.NowMs()}, [&](const state::Row&) {
          found = true;
          return false;
        });
  }));
  return found;
}

void SpentBatches::Spent(const BatchKey& key, journal::Lsn lsn) { Settle(key, lsn, {}); }

void SpentBatches::Failed(const BatchKey& key, const Error& error) { Settle(key, 0, error); }

// lsn 0: memory keeps nothing of it.
void SpentBatches::Settle(const BatchKey& key, journal::Lsn lsn, const Status& outcome) {
  std::vector<Waiter> waiters;
  {
    std::lock_guard lock(mutex_);
    auto entry = entries_.find(key);
    CHECK(entry != entries_.end());
    waiters.swap(entry->second.waiters);
    if (lsn == 0) {
      entries_.erase(entry);
    } else {
      const int64_t now_ms = clock_.NowMs();
      filter_.Add(key.first, key.second, now_ms);
      entry->second.spent = true;
      entry->second.lsn = lsn;
      entry->second.expires_ms = now_ms + window_ms_;
      by_lsn_.emplace_back(lsn, key);
    }
  }
  for (Waiter& waiter : waiters) waiter(outcome);
}

void SpentBatches::Flushed(journal::Lsn upto) {
  std::lock_guard lock(mutex_);
  while (!by_lsn_.empty() && by_lsn_.front().first <= upto) {
    auto entry = entries_.find(by_lsn_.front().second);
    bool same = entry != entries_.end() && entry->second.lsn == by_lsn_.front().first;
    if (same) entries_.erase(entry);  // else the id is another batch's by now
    by_lsn_.pop_front();
  }
}

}  // namespace varve::ingest
