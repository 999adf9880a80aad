#include "app/ingest_run.h"

#include "app/commands.h"

namespace varve::app {
namespace {
constexpr size_t kFirstBadMax = 20;
constexpr auto kProgressEvery = std::chrono::milliseconds(100);
}  // namespace

IngestRun::IngestRun(const SenderOptions& options, uint32_t connections, uint64_t start,
                     uint64_t line)
    : options_(options), waiting_max_(connections) {
  totals_.safe_offset = totals_.bytes_done = start;
  totals_.safe_line = line;
  for (uint32_t i = 0; i < connections; ++i) senders_.emplace_back([this] { SendLoop(); });
}

IngestRun::~IngestRun() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    waiting_.clear();
  }
  changed_.notify_all();
}

void IngestRun::SendLoop() {
  BatchSender sender(options_);
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return closed_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    InputBatch batch = std::move(waiting_.front());
    waiting_.pop_front();
    ++in_flight_;
    changed_.notify_all();
    lock.unlock();
    Result<SendOutcome> outcome = sender.Send(batch);
    lock.lock();
    --in_flight_;
    if (outcome.ok()) {
      Settle(batch, *outcome);
    } else {
      if (!error_) error_ = outcome.error();
      waiting_.clear();
    }
    changed_.notify_all();
  }
}

void IngestRun::Settle(const InputBatch& batch, const SendOutcome& outcome) {
  totals_.stored += outcome.stored;
  totals_.deduplicated += outcome.deduplicated;
  totals_.bad += outcome.bad.size();
  totals_.bytes_done += batch.end - batch.begin;
  for (const BadEvent& bad : outcome.bad) {
    if (totals_.first_bad.size() < kFirstBadMax) totals_.first_bad.push_back(bad);
  }
  settled_[batch.begin] = {batch.end, batch.next_line};
  for (auto next = settled_.find(totals_.safe_offset); next != settled_.end();
       next = settled_.find(totals_.safe_offset)) {
    totals_.safe_offset = next->second.first;
    totals_.safe_line = next->second.second;
    settled_.erase(next);
  }
}

bool IngestRun::Enqueue(InputBatch batch,
                        const std::function<void(const IngestTotals&)>& on_progress) {
  std::unique_lock lock(mutex_);
  while (!error_ && !Interrupted() && waiting_.size() >= waiting_max_) {
    changed_.wait_for(lock, kProgressEvery);
    IngestTotals now = totals_;
    lock.unlock();
    on_progress(now);
    lock.lock();
  }
  if (error_ || Interrupted()) return false;
  waiting_.push_back(std::move(batch));
  changed_.notify_all();
  return true;
}

Status IngestRun::Run(BatchReader& reader,
                      const std::function<void(const IngestTotals&)>& on_progress) {
  Status read;
  while (true) {
    InputBatch batch;
    Result<bool> more = reader.Next(&batch);
    if (!more.ok()) read = more.error();
    if (!more.ok() || !*more || !Enqueue(std::move(batch), on_progress)) break;
  }
  std::unique_lock lock(mutex_);
  while (!waiting_.empty() || in_flight_ > 0) {
    if (Interrupted()) waiting_.clear();
    changed_.wait_for(lock, kProgressEvery);
    IngestTotals now = totals_;
    lock.unlock();
    on_progress(now);
    lock.lock();
  }
  if (error_) return *error_;
  if (Interrupted()) return MakeError(ErrorKind::kCancelled, "CANCELLED", "interrupted");
  return read;
}

IngestTotals IngestRun::totals() {
  std::lock_guard lock(mutex_);
  return totals_;
}

}  // namespace varve::app
