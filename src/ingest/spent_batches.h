// Which batch ids are spent. An id is claimed while its batch is on its way, spent once the batch
// is durable, free again if the batch failed or the dedup window is over. Ids of batches that the
// journal holds are in memory; those of flushed ones are in the state, moved there by the
// transaction that ends their unit.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "ingest/id_filter.h"
#include "journal/journal.h"
#include "state/database.h"

namespace varve::ingest {

class SpentBatches {
 public:
  using BatchKey = std::pair<std::string, std::string>;  // namespace, batch id
  // What became of the batch that had the id first.
  using Waiter = std::function<void(const Status& first)>;

  enum class Claim { kMine, kSpent, kWaiting };

  SpentBatches(state::Database& database, const Clock& clock, uint64_t window_ms);

  // Before anything is claimed: the journal's event records that no done unit holds.
  void Restore(const journal::Journal& journal, journal::Lsn after);
  // kMine: send the batch, then say Spent or Failed. kSpent: answer as a duplicate. kWaiting: the
  // waiter hears of the first one's outcome.
  Result<Claim> TryClaim(const BatchKey& key, Waiter waiter);
  void Spent(const BatchKey& key, journal::Lsn lsn);
  void Failed(const BatchKey& key, const Error& error);
  void Flushed(journal::Lsn upto);  // these ids are in the state now

 private:
  struct Entry {
    bool spent = false;
    journal::Lsn lsn = 0;
    int64_t expires_ms = 0;
    std::vector<Waiter> waiters;
  };
  void LoadFilter();
  Result<bool> IsInState(const BatchKey& key);
  void Settle(const BatchKey& key, journal::Lsn lsn, const Status& outcome);

  state::Database& database_;
  const Clock& clock_;
  const int64_t window_ms_;
  std::mutex mutex_;
  std::map<BatchKey, Entry> entries_;  // at most one for each record of the journal, and claims
  std::deque<std::pair<journal::Lsn, BatchKey>> by_lsn_;
  IdFilter filter_;  // every spent id, wherever it is kept
};

}  // namespace varve::ingest
