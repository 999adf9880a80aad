#include "compact/raw_consumer.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>

#include "compact/raw_source.h"
#include "core/log.h"

namespace varve::compact {
namespace {

constexpr uint64_t kIdleWaitMs = 30'000;

// Sleeps, or returns at once on stop.
void Pause(uint64_t ms, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, std::chrono::milliseconds(ms), [] { return false; });
}

CommitterOptions CommitterOptionsOf(const RawConsumerOptions& options) {
  return {{options.raw_prefix, options.parquet_prefix},
          options.codec,
          options.queue,
          options.downstream_queue};
}

IntakeOptions IntakeOptionsOf(const RawConsumerOptions& options) {
  return {options.queue, options.raw_prefix, options.gather_bytes_max, options.pause_min_ms,
          options.ready};
}

}  // namespace

RawConsumer::RawConsumer(RawConsumerOptions options, store::ObjectStore& store,
                         queue::SqliteQueue& queue, RawLedger& ledger, const Clock& clock)
    : options_(std::move(options)),
      store_(store),
      queue_(queue),
      ledger_(ledger),
      clock_(clock),
      committer_(CommitterOptionsOf(options_), store, queue, ledger, clock) {}

RawConsumer::~RawConsumer() { Stop(); }

Status RawConsumer::Start() {
  const uint64_t released = TRY(queue_.ReleaseHolder(options_.queue, options_.holder));
  if (released > 0) LogInfo("compact.leases_given_back", {{"messages", released}});
  // A store that is away now must not keep the process from starting: the loops try again.
  const Status resumed = ResumeUnfinished();
  if (!resumed.ok()) LogWarn("compact.resume_failed", {{"error", resumed.error().message}});
  for (uint32_t i = 0; i < std::max<uint32_t>(1, options_.consumers); ++i) {
    threads_.emplace_back([this](std::stop_token stop) { Loop(stop); });
  }
  return {};
}

void RawConsumer::Stop() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

RawStats RawConsumer::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return stats_;
}

Result<uint64_t> RawConsumer::RunOnce() {
  TRY(ResumeUnfinished());
  RawIntake intake(IntakeOptionsOf(options_), store_, queue_, ledger_);
  Status gathered;
  {
    const std::lock_guard lock(gather_mutex_);
    gathered = Gather(intake, /*wait=*/false, {});
  }
  TRY(Process(intake));  // also what a gather that failed half-way had taken
  TRY(std::move(gathered));
  return intake.counts().messages;
}

void RawConsumer::Loop(std::stop_token stop) {
  uint64_t pause_ms = options_.pause_min_ms;
  while (!stop.stop_requested()) {
    RawIntake intake(IntakeOptionsOf(options_), store_, queue_, ledger_);
    if (Round(intake, stop)) {
      pause_ms = options_.pause_min_ms;
      continue;
    }
    Pause(pause_ms, stop);
    pause_ms = std::min(pause_ms * 2, options_.pause_max_ms);
  }
}

bool RawConsumer::Round(RawIntake& intake, const std::stop_token& stop) {
  Status status;
  {
    const std::lock_guard lock(gather_mutex_);
    if (stop.stop_requested()) return true;
    status = ResumeUnfinished();
    // A plan that cannot be finished now keeps no other raw file waiting.
    Status gathered = Gather(intake, /*wait=*/status.ok(), stop);
    if (status.ok()) status = std::move(gathered);
  }
  // Also after a gather that failed half-way: what it had taken is not to wait for its leases.
  const Status processed = Process(intake);
  if (status.ok() && processed.ok()) return true;
  const Error& error = status.ok() ? processed.error() : status.error();
  LogError("compact.round_failed", {{"error", error.message}});
  const std::lock_guard lock(stats_mutex_);
  ++stats_.failures;
  return false;
}

int64_t RawConsumer::AgeMs(RawIntake& intake, int64_t first_ns) const {
  int64_t oldest_ms = clock_.NowMs();
  for (const HeldMessage& message : intake.messages()) {
    if (!message.settled) oldest_ms = std::min(oldest_ms, message.sent_ms);
  }
  const int64_t held_ms = (clock_.MonotonicNs() - first_ns) / 1'000'000;
  return std::max(held_ms, clock_.NowMs() - oldest_ms);
}

bool RawConsumer::Gathered(RawIntake& intake, int64_t first_ns) const {
  if (intake.messages().size() >= options_.max_batch_size) return true;
  if (intake.sources().empty()) return false;
  return intake.items() >= options_.flush_threshold ||
         intake.bytes() >= options_.gather_bytes_max ||
         AgeMs(intake, first_ns) >= static_cast<int64_t>(options_.max_batch_timeout_ms);
}

Status RawConsumer::Gather(RawIntake& intake, bool wait, const std::stop_token& stop) {
  if (wait) queue_.Wait(options_.queue, kIdleWaitMs, stop);
  const int64_t first_ns = clock_.MonotonicNs();
  int64_t extended_ns = first_ns;
  const uint32_t batch_max = std::clamp<uint32_t>(options_.max_batch_size, 1, queue::kBatchMax);
  for (;;) {
    const size_t held = intake.messages().size();
    const auto room = static_cast<uint32_t>(batch_max - std::min<size_t>(held, batch_max));
    if (room == 0) return {};
    const auto messages =
        TRY(queue_.ReceiveHeld(options_.queue, room, options_.lease_ms, options_.holder));
    TRY(intake.Add(messages));
    if (!wait) {
      if (messages.empty() || Gathered(intake, first_ns)) return {};
      continue;
    }
    const bool nothing_held = intake.sources().empty() && messages.empty();
    if (stop.stop_requested() || nothing_held || Gathered(intake, first_ns)) return {};
    KeepLeases(intake, extended_ns);
    if (intake.sources().empty()) continue;
    const int64_t rest_ms =
        static_cast<int64_t>(options_.max_batch_timeout_ms) - AgeMs(intake, first_ns);
    const auto slice_ms = std::min<uint64_t>(static_cast<uint64_t>(std::max<int64_t>(1, rest_ms)),
                                             std::max<uint64_t>(1, options_.lease_ms / 4));
    queue_.Wait(options_.queue, slice_ms, stop);
  }
}

void RawConsumer::KeepLeases(RawIntake& intake, int64_t& extended_ns) {
  const int64_t now_ns = clock_.MonotonicNs();
  if (now_ns - extended_ns < static_cast<int64_t>(options_.lease_ms) * 1'000'000 / 3) return;
  extended_ns = now_ns;
  const std::vector<std::string> leases = intake.OpenLeases();
  const auto extended = queue_.ExtendAll(options_.queue, leases, options_.lease_ms);
  // A lost lease costs a second delivery, which the ledger makes harmless.
  if (!extended.ok()) LogWarn("compact.extend_failed", {{"error", extended.error().message}});
}

Status RawConsumer::Process(RawIntake& intake) {
  RowGroups groups(paths());
  std::vector<HeldSource*> sources;
  Status first_failure;
  const auto flush = [&] {
    if (sources.empty()) return;
    Status status =
        CommitGroup(intake, std::exchange(groups, RowGroups(paths())), std::exchange(sources, {}));
    if (!status.ok() && first_failure.ok()) first_failure = std::move(status);
  };
  for (HeldSource& source : intake.sources()) {
    const Status added = groups.Add(source.raw);
    if (!added.ok()) {
      const Status blamed = intake.Blame(source, added.error());
      if (!blamed.ok() && first_failure.ok()) first_failure = blamed;
      continue;
    }
    sources.push_back(&source);
    std::string().swap(source.raw.bytes);  // the rows hold what is needed of it
    if (groups.rows() >= options_.rows_max || groups.files() >= options_.files_max ||
        groups.row_bytes() >= options_.row_bytes_max) {
      flush();
    }
  }
  flush();
  const std::lock_guard lock(stats_mutex_);
  stats_.intake.Add(intake.counts());
  return first_failure;
}

Status RawConsumer::CommitGroup(RawIntake& intake, RowGroups groups,
                                std::vector<HeldSource*> sources) {
  const uint64_t rows = groups.rows();
  auto files = groups.Encode(options_.codec);
  if (!files.ok()) {
    if (sources.size() > 1) return CommitEachAlone(intake, sources);
    Error error = std::move(files).error();
    error.kind = ErrorKind::kInvalid;  // whatever the writer says: these rows are the reason
    return intake.Blame(*sources[0], error);
  }
  {
    const std::lock_guard lock(stats_mutex_);
    stats_.records_ingested += rows;
  }
  return CommitFiles(intake, groups, std::move(files).value(), sources);
}

Result<RawSource> RawConsumer::ReadAgain(const SourceId& id) {
  const store::ObjectMeta object = TRY(store_.Head(id.key));
  if (object.etag == id.etag) return ReadRawSource(store_, object);
  return MakeError(ErrorKind::kRetryable, "raw file " + id.key + " has changed");
}

// One source's rows cannot be written, and it is not known whose: each gets a plan of its own.
Status RawConsumer::CommitEachAlone(RawIntake& intake, const std::vector<HeldSource*>& sources) {
  Status first_failure;
  for (HeldSource* source : sources) {
    RowGroups groups(paths());
    auto again = ReadAgain(source->raw.id);
    Status status;
    if (!again.ok()) {
      status = intake.Blame(*source, again.error());
    } else {
      const Status added = groups.Add(*again);
      status = added.ok() ? CommitGroup(intake, std::move(groups), {source})
                          : intake.Blame(*source, added.error());
    }
    if (!status.ok() && first_failure.ok()) first_failure = std::move(status);
  }
  return first_failure;
}

Status RawConsumer::CommitFiles(RawIntake& intake, RowGroups& groups, std::vector<LogFile> files,
                                const std::vector<HeldSource*>& sources) {
  RawCommitter::Batch batch;
  batch.files = std::move(files);
  batch.quarantine = groups.quarantine();
  batch.counts = groups.counts();
  // A message is acked with the plan that holds the last of its sources.
  std::map<size_t, size_t> of_message;
  for (const HeldSource* source : sources) {
    batch.sources.push_back(source->raw.id);
    for (const size_t message : source->messages) ++of_message[message];
  }
  std::vector<std::string> leases;
  std::vector<HeldMessage>& messages = intake.messages();
  for (const auto& [index, count] : of_message) {
    if (messages[index].open == count && !messages[index].settled) {
      leases.push_back(messages[index].lease_id);
    }
  }
  int64_t extended_ns = clock_.MonotonicNs();
  auto report =
      committer_.Commit(std::move(batch), leases, [&] { KeepLeases(intake, extended_ns); });
  if (!report.ok()) {
    const std::vector<const HeldSource*> given_back(sources.begin(), sources.end());
    const Status status = intake.GiveBack(given_back, options_.pause_min_ms);
    if (!status.ok()) LogWarn("compact.give_back_failed", {{"error", status.error().message}});
    // Another consumer was first to plan a source: its messages come back and find that out.
    if (report.error().code == "SOURCE_TAKEN") return {};
    return std::move(report).error();
  }
  for (const auto& [index, count] : of_message) {
    messages[index].open -= count;
    if (messages[index].open == 0) messages[index].settled = true;
  }
  NoteCommitted(*report);
  return {};
}

void RawConsumer::NoteCommitted(const CommitReport& report) {
  const std::lock_guard lock(stats_mutex_);
  stats_.committed.Add(report);
  stats_.flushes += report.plans;
  if (report.plans > 0) stats_.last_flush_ms = clock_.NowMs();
}

Status RawConsumer::ResumeUnfinished() {
  CommitReport report;
  const Status status = committer_.ResumeUnfinished(report);
  NoteCommitted(report);
  return status;
}

}  // namespace varve::compact
