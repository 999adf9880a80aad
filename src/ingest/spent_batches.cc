#include "ingest/spent_batches.h"

namespace varve::ingest {

void SpentBatches::Restore(const journal::Record& record) {
  if (record.batch_id.empty()) return;
  BatchKey key(record.ns, record.batch_id);
  std::lock_guard lock(mutex_);
  entries_[key].spent = true;
  by_lsn_.emplace_back(record.lsn, std::move(key));
}

Result<SpentBatches::Claim> SpentBatches::TryClaim(const BatchKey& key, Waiter waiter) {
  {
    std::lock_guard lock(mutex_);
    auto [entry, is_new] = entries_.try_emplace(key);
    if (!is_new) {
      if (entry->second.spent) return Claim::kSpent;
      entry->second.waiters.push_back(std::move(waiter));
      return Claim::kWaiting;
    }
  }
  // Only after the claim: an id leaves memory after it is in the state, so one of the two has it.
  bool found = false;
  Status looked = database_.Run([&](state::Session& session) {
    return session.Query(
        "SELECT 1 FROM ingest_dedup WHERE ns = ? AND batch_id = ? AND expires_ms > ?",
        {key.first, key.second, clock_.NowMs()}, [&](const state::Row&) {
          found = true;
          return false;
        });
  });
  if (!looked.ok()) {
    Settle(key, 0, looked);
    return std::move(looked).error();
  }
  if (!found) return Claim::kMine;
  Settle(key, 0, {});
  return Claim::kSpent;
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
      entry->second.spent = true;
      by_lsn_.emplace_back(lsn, key);
    }
  }
  for (Waiter& waiter : waiters) waiter(outcome);
}

void SpentBatches::Flushed(journal::Lsn upto) {
  std::lock_guard lock(mutex_);
  while (!by_lsn_.empty() && by_lsn_.front().first <= upto) {
    entries_.erase(by_lsn_.front().second);
    by_lsn_.pop_front();
  }
}

}  // namespace varve::ingest
