#include "ingest/spent_events.h"

#include <algorithm>
#include <utility>

#include "core/log.h"
#include "record/json_scan.h"

namespace varve::ingest {
namespace {

constexpr journal::Lsn kReadWindow = 512;  // records whose pages are resident at once

// A text keeps its opening quote, so that "17" and 17 are two ids.
Hash128 HashOf(const Hash128& key, std::string_view value) {
  if (value[0] != '"') return KeyedHash(key, value);
  if (value.find('\\') == std::string_view::npos) {
    return KeyedHash(key, value.substr(0, value.size() - 1));
  }
  return KeyedHash(key, '"' + record::JsonValue{value}.AsString());
}

}  // namespace

SpentEvents::SpentEvents(SpentEventsOptions options, journal::Journal& journal, const Clock& clock,
                         EventIdTable table)
    : options_(std::move(options)), journal_(journal), clock_(clock), table_(std::move(table)) {}

Result<std::unique_ptr<SpentEvents>> SpentEvents::Open(SpentEventsOptions options,
                                                       journal::Journal& journal,
                                                       journal::Lsn after, const Clock& clock) {
  if (options.window_ms == 0) options.ids_max = 0;
  EventIdTable table(std::max<uint64_t>(1, options.ids_max), options.window_ms);
  EventIdLogOptions log{options.directory, options.ids_max, options.window_ms,
                        KeyedHash(options.key, "event ids").low, journal.last_lsn()};
  std::unique_ptr<SpentEvents> spent(
      new SpentEvents(std::move(options), journal, clock, std::move(table)));
  if (spent->options_.ids_max == 0) return spent;
  const int64_t now_ms = clock.NowMs();
  spent->log_ = std::make_unique<EventIdLog>(
      TRY(EventIdLog::Open(std::move(log), now_ms, [&](auto ids, int64_t newest_ms) {
        for (const Hash128& id : ids) spent->table_.Renew(id, std::min(newest_ms, now_ms));
      })));
  spent->Restore(std::max(after, spent->log_->persisted()));
  return spent;
}

void SpentEvents::Restore(journal::Lsn after) {
  constexpr uint32_t kEvents = 1u << static_cast<int>(record::RecordKind::kEvents);
  const int64_t now_ms = clock_.NowMs();
  const journal::Lsn last = journal_.last_lsn();
  for (; after < last; after = std::min(last, after + kReadWindow)) {
    journal::HotRecords held = journal_.Read(after, after + kReadWindow, kEvents);
    for (const journal::Record& record : held.records) {
      for (const Hash128& id : record.event_ids) {
        if (id != Hash128()) table_.Renew(id, std::min(record.received_ms, now_ms));
      }
      if (!record.event_ids.empty()) durable_lsn_ = record.lsn;
    }
  }
  table_.Advance(now_ms);
  forgotten_at_start_ = table_.forgotten();
  LogInfo("ingest.event_ids_restored", {{"ids", table_.size()}});
}

std::vector<Hash128> SpentEvents::Identify(const NamespaceId& ns, std::string_view body,
                                           const record::EventBatch& batch) const {
  std::vector<Hash128> hashes;
  if (batch.ids.empty() || options_.ids_max == 0) return hashes;
  hashes.resize(batch.events.size());
  const Hash128 key = KeyedHash(options_.key, ns.name());
  for (const record::EventIdRef& id : batch.ids) {
    hashes[id.event] = HashOf(key, body.substr(id.offset, id.size));
  }
  return hashes;
}

// Returns how many are left out; *spent_now: how many ids the table has taken.
uint64_t SpentEvents::LeaveOutSpent(journal::AppendRequest* request, uint64_t* spent_now) {
  std::vector<Hash128>& ids = request->event_ids;
  const int64_t now_ms = clock_.NowMs();
  table_.Advance(now_ms);
  table_.Prefetch(ids);
  size_t kept = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] != Hash128()) {
      if (!table_.Insert(ids[i], now_ms)) continue;
      ++*spent_now;
    }
    ids[kept] = ids[i];
    request->events[kept++] = request->events[i];
  }
  const uint64_t left_out = ids.size() - kept;
  ids.resize(kept);
  request->events.resize(kept);
  return left_out;
}

Status SpentEvents::Append(journal::AppendRequest request, Done done) {
  CHECK(!request.event_ids.empty());
  uint64_t spent_now = 0;
  Stored stored;
  std::unique_lock lock(mutex_);
  stored.duplicates = LeaveOutSpent(&request, &spent_now);
  stored.events = request.events.size();
  stored.has_record = stored.events > 0 || !request.batch_id.empty();
  if (stored.events == 0) request.body.clear();
  if (!stored.has_record) {
    const uint64_t ticket = appended_;
    lock.unlock();
    WhenDurable(ticket, [stored, done = std::move(done)](const Stored& first) mutable {
      stored.lsn = first.lsn;
      done(stored);
    });
    return {};
  }
  const uint64_t ticket = appended_ + 1;
  Status taken = journal_.Append(
      std::move(request), [this, ticket, stored, done = std::move(done)](journal::Lsn lsn) mutable {
        stored.lsn = lsn;
        done(stored);
        Durable(ticket, lsn);
      });
  if (taken.ok()) {
    appended_ = ticket;
  } else {
    table_.Undo(spent_now);
  }
  return taken;
}

void SpentEvents::WhenDurable(uint64_t ticket, Done done) {
  Stored first;
  {
    std::lock_guard lock(waiters_mutex_);
    if (durable_ < ticket) {
      waiters_.push_back({ticket, std::move(done)});
      return;
    }
    first.lsn = durable_lsn_;
  }
  done(first);
}

// Tickets become durable in their order, as the journal commits.
void SpentEvents::Durable(uint64_t ticket, journal::Lsn lsn) {
  std::vector<Waiter> told;
  {
    std::lock_guard lock(waiters_mutex_);
    durable_ = ticket;
    durable_lsn_ = lsn;
    if (waiters_.empty()) return;
    auto is_told = [&](const Waiter& waiter) { return waiter.ticket <= ticket; };
    // Not std::ranges': libstdc++ 12's subrange does not compile with clang 14.
    const auto first_told =
        std::stable_partition(waiters_.begin(), waiters_.end(), std::not_fn(is_told));
    told.assign(std::make_move_iterator(first_told), std::make_move_iterator(waiters_.end()));
    waiters_.erase(first_told, waiters_.end());
  }
  for (Waiter& waiter : told) waiter.done({lsn});
}

Status SpentEvents::Flushed(const std::vector<journal::Record>& records) {
  if (log_ == nullptr) return {};
  return log_->Append(records, clock_.NowMs());
}

SpentEventsStats SpentEvents::stats() const {
  std::lock_guard lock(mutex_);
  return {table_.size(), table_.forgotten() - forgotten_at_start_};
}

}  // namespace varve::ingest
