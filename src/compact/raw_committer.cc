#include "compact/raw_committer.h"

#include <fmt/format.h>

#include "compact/raw_source.h"
#include "core/bytes.h"
#include "core/crash_point.h"
#include "core/log.h"

namespace varve::compact {
namespace {

const CrashPoint kBeforeRecord{"compact.before_record"};
const CrashPoint kRecorded{"compact.plan_recorded"};
const CrashPoint kOutputPut{"compact.output_put"};
const CrashPoint kOutputsPut{"compact.outputs_put"};
const CrashPoint kInFinish{"compact.in_finish"};
const CrashPoint kFinished{"compact.plan_done"};
const CrashPoint kAbandoned{"compact.plan_abandoned"};

constexpr char kRowsMetadata[] = "varve-rows";
constexpr int kPutTries = 3;
constexpr size_t kResumePlansMax = 64;

// Gives up the claim of a plan however the work on it ends.
template <typename F>
class AtExit {
 public:
  explicit AtExit(F f) : f_(std::move(f)) {}
  AtExit(const AtExit&) = delete;
  AtExit& operator=(const AtExit&) = delete;
  ~AtExit() { f_(); }

 private:
  F f_;
};

std::string ParquetWritten(const LogFile& file, const std::string& key, int64_t now_ms) {
  std::string sources;
  size_t named = 0;
  for (const std::string& source : file.source_keys) {
    const std::string quoted = JsonQuote(source);
    // A message has its limit; the names are for information, the file is what counts.
    if (sources.size() + quoted.size() > queue::kBodyBytesMax - 8'192) break;
    sources += (named == 0 ? "" : ",") + quoted;
    ++named;
  }
  return fmt::format(
      R"({{"type":"parquet-written","parquetPath":{},"recordCount":{},"sizeBytes":{},)"
      R"("sourceFiles":[{}],"processedAt":{}}})",
      JsonQuote(key), file.rows, file.bytes.size(), sources, now_ms);
}

CommitReport ReportOf(const RawCommitter::Batch& batch) {
  CommitReport report;
  report.plans = 1;
  report.sources = batch.sources.size();
  report.files = batch.files.size();
  for (const LogFile& file : batch.files) {
    report.rows += static_cast<uint64_t>(file.rows);
    report.bytes += file.bytes.size();
  }
  report.quarantine_files = batch.quarantine.size();
  for (const QuarantineFile& file : batch.quarantine) report.quarantine_lines += file.lines;
  report.counts = batch.counts;
  return report;
}

}  // namespace

void CommitReport::Add(const CommitReport& more) {
  plans += more.plans;
  plans_resumed += more.plans_resumed;
  plans_abandoned += more.plans_abandoned;
  sources += more.sources;
  files += more.files;
  rows += more.rows;
  bytes += more.bytes;
  quarantine_files += more.quarantine_files;
  quarantine_lines += more.quarantine_lines;
  counts.Add(more.counts);
}

Status RawCommitter::Claim(Plan& plan) {
  const std::lock_guard lock(mutex_);
  TRY(ledger_.Record(plan));
  claimed_.insert(plan.id);
  return {};
}

void RawCommitter::Unclaim(int64_t plan_id) {
  const std::lock_guard lock(mutex_);
  claimed_.erase(plan_id);
}

Result<CommitReport> RawCommitter::Commit(Batch batch, const std::vector<std::string>& lease_ids,
                                          const std::function<void()>& alive) {
  Plan plan;
  plan.created_ms = clock_.NowMs();
  plan.sources = batch.sources;
  for (const LogFile& file : batch.files) plan.outputs.push_back({file.directory, file.rows, ""});
  kBeforeRecord.Hit();
  TRY(Claim(plan));
  const AtExit unclaim([&] { Unclaim(plan.id); });
  kRecorded.Hit();
  TRY(PutAll(plan, batch, alive));
  TRY(Finish(plan, batch, lease_ids));
  return ReportOf(batch);
}

Status RawCommitter::PutAll(const Plan& plan, const Batch& batch,
                            const std::function<void()>& alive) {
  CHECK(plan.outputs.size() == batch.files.size());
  for (const QuarantineFile& file : batch.quarantine) {
    TRY(PutOnce(file.key, file.bytes, static_cast<int64_t>(file.lines), "application/x-ndjson"));
    alive();
  }
  for (size_t i = 0; i < batch.files.size(); ++i) {
    TRY(PutOnce(plan.outputs[i].key, batch.files[i].bytes, batch.files[i].rows,
                "application/vnd.apache.parquet"));
    kOutputPut.Hit();
    alive();
  }
  kOutputsPut.Hit();
  return {};
}

Status RawCommitter::PutOnce(const std::string& key, const std::string& bytes, int64_t rows,
                             const char* content_type) {
  store::PutOptions put;
  put.content_type = content_type;
  put.metadata[kRowsMetadata] = std::to_string(rows);
  put.precondition = store::Precondition::kIfAbsent;
  for (int attempt = 1;; ++attempt) {
    auto done = store_.Put(key, bytes, put);
    if (done.ok()) return {};
    const ErrorKind kind = done.error().kind;
    if (kind != ErrorKind::kConflict && kind != ErrorKind::kUnknown) {
      return std::move(done).error().Context("put " + key);
    }
    // It may be there: from a try before a crash, or from this one, whose reply was lost.
    auto there = store_.Head(key);
    if (there.ok()) {
      const auto found = there->metadata.find(kRowsMetadata);
      if (found != there->metadata.end() && found->second == put.metadata[kRowsMetadata]) return {};
      return MakeError(ErrorKind::kCorrupt, "OUTPUT_NOT_OURS",
                       key + " is there and does not hold this plan's rows");
    }
    if (there.error().kind != ErrorKind::kNotFound || attempt == kPutTries) {
      return std::move(done).error().Context("put " + key);
    }
  }
}

Status RawCommitter::Finish(const Plan& plan, const Batch& batch,
                            const std::vector<std::string>& lease_ids) {
  TRY(ledger_.Finish(plan, [&](state::Session& session) -> Status {
    if (!lease_ids.empty()) TRY(queue_.AckIn(session, options_.queue, lease_ids));
    for (size_t i = 0; i < batch.files.size() && !options_.downstream_queue.empty(); ++i) {
      TRY(queue_.SendIn(session, options_.downstream_queue,
                        ParquetWritten(batch.files[i], plan.outputs[i].key, clock_.NowMs()), {}));
    }
    kInFinish.Hit();
    return {};
  }));
  kFinished.Hit();
  queue_.Wake();
  return {};
}

Status RawCommitter::ResumeUnfinished(CommitReport& report) {
  std::vector<Plan> plans;
  {
    const std::lock_guard lock(mutex_);
    plans = TRY(ledger_.Unfinished(kResumePlansMax));
    std::erase_if(plans, [&](const Plan& plan) { return claimed_.contains(plan.id); });
    for (const Plan& plan : plans) claimed_.insert(plan.id);
  }
  Status first_failure;
  for (const Plan& plan : plans) {
    const AtExit unclaim([&] { Unclaim(plan.id); });
    auto resumed = plan.state == PlanState::kPlanned ? Resume(plan) : Abandon(plan);
    if (resumed.ok()) {
      report.Add(*resumed);
      continue;
    }
    LogError("compact.plan_unfinished", {{"plan", plan.id}, {"error", resumed.error().message}});
    if (first_failure.ok()) first_failure = std::move(resumed).error();
  }
  return first_failure;
}

Result<CommitReport> RawCommitter::Resume(const Plan& plan) {
  auto batch = TRY(Rebuild(plan));
  if (!batch) return Abandon(plan);
  auto put = PutAll(plan, *batch, [] {});
  if (!put.ok() && put.error().code == "OUTPUT_NOT_OURS") return Abandon(plan);
  TRY(std::move(put));
  TRY(Finish(plan, *batch, {}));
  CommitReport report = ReportOf(*batch);
  report.plans_resumed = 1;
  LogInfo("compact.plan_resumed", {{"plan", plan.id}, {"rows", report.rows}});
  return report;
}

Result<std::optional<RawCommitter::Batch>> RawCommitter::Rebuild(const Plan& plan) {
  RowGroups groups(options_.paths);
  Batch batch;
  for (const SourceId& id : plan.sources) {
    auto object = store_.Head(id.key);
    if (!object.ok() && object.error().kind != ErrorKind::kNotFound) {
      return std::move(object).error();
    }
    if (!object.ok() || object->etag != id.etag) return std::optional<Batch>();
    auto source = ReadRawSource(store_, *object);
    if (!source.ok() && !BlamesTheObject(source.error())) return std::move(source).error();
    if (!source.ok() || !groups.Add(*source).ok()) return std::optional<Batch>();
    batch.sources.push_back(id);
  }
  auto files = groups.Encode(options_.codec);
  if (!files.ok() || files->size() != plan.outputs.size()) return std::optional<Batch>();
  for (size_t i = 0; i < files->size(); ++i) {
    const PlannedOutput& planned = plan.outputs[i];
    if ((*files)[i].directory != planned.directory || (*files)[i].rows != planned.rows) {
      return std::optional<Batch>();
    }
  }
  batch.files = std::move(files).value();
  batch.quarantine = groups.quarantine();
  batch.counts = groups.counts();
  return std::optional<Batch>(std::move(batch));
}

Result<CommitReport> RawCommitter::Abandon(const Plan& plan) {
  LogWarn("compact.plan_abandoned", {{"plan", plan.id}, {"sources", plan.sources.size()}});
  TRY(ledger_.Abandon(plan));
  kAbandoned.Hit();
  for (const PlannedOutput& output : plan.outputs) TRY(store_.Delete(output.key));
  TRY(ledger_.ForgetOutputs(plan));
  CommitReport report;
  report.plans_abandoned = 1;
  return report;
}

}  // namespace varve::compact
