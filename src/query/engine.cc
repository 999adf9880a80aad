#include "query/engine.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "query/admission.h"
#include "query/cursors.h"
#include "query/file_checks.h"
#include "query/sql_scan.h"
#include "query/worker_pool.h"

namespace varve::query {

namespace {

// Spill directories of processes that are no more.
void RemoveLeftovers(const std::string& directory) {
  if (directory.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    static constexpr std::string_view kPrefix = "query-";
    if (!name.starts_with(kPrefix)) continue;
    pid_t process = 0;
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), process);
    if (process > 0 && kill(process, 0) != 0 && errno == ESRCH) {
      std::filesystem::remove_all(entry.path(), error);
    }
  }
}

class DuckEngine : public Engine {
 public:
  DuckEngine(EngineOptions options, SnapshotSource* source, const Clock& clock, Random& random)
      : options_(std::move(options)),
        source_(source),
        clock_(clock),
        checks_(options_.files_checked_max),
        admission_(clock, options_.queries_max, options_.queue_wait_ms),
        cursors_(options_, clock, random),
        pool_(options_, clock, counts_, [this] { DropIdle(); }) {}

  Result<QuerySummary> Run(const QueryRequest& request, const ByteSink& sink,
                           const std::atomic<bool>* cancelled) override {
    const int64_t start_ns = clock_.MonotonicNs();
    TRY(CheckLength(request.sql));
    const auto ticket = TRY(admission_.Enter(cancelled));
    const Patience patience(clock_, options_.query_ms_max, cancelled);
    auto query = std::make_unique<OpenQuery>();
    query->page_rows = request.rows_max;
    query->worker = TRY(pool_.Take(request.ns, patience));
    const Status planned = Plan(request, patience, *query);
    if (!planned.ok()) {
      pool_.GiveBack(std::move(query->worker));
      return query->plan.Readable(planned.error(), options_.memory_bytes_max);
    }
    return SendPage(request.ns, std::move(query), [&](const std::string& id, OpenQuery& open) {
      return open.worker->Run(request.ns, open.plan, request.format, open.page_rows,
                              {id, MsSince(start_ns)}, sink, patience);
    });
  }

  Result<QuerySummary> Next(const NamespaceId& ns, std::string_view cursor, const ByteSink& sink,
                            const std::atomic<bool>* cancelled) override {
    const int64_t start_ns = clock_.MonotonicNs();
    const auto ticket = TRY(admission_.Enter(cancelled));
    const Patience patience(clock_, options_.query_ms_max, cancelled);
    auto query = TRY(cursors_.Take(ns, cursor));
    return SendPage(ns, std::move(query), [&](const std::string& id, OpenQuery& open) {
      return open.worker->Next({id, MsSince(start_ns)}, sink, patience);
    });
  }

  Result<StatementFacts> Check(const NamespaceId& ns, std::string_view sql,
                               const std::atomic<bool>* cancelled) override {
    TRY(CheckLength(sql));
    const auto ticket = TRY(admission_.Enter(cancelled));
    const Patience patience(clock_, options_.query_ms_max, cancelled);
    OpenQuery query;
    query.worker = TRY(pool_.Take(ns, patience));
    Result<TablesMessage> checked = query.worker->Check(sql, patience);
    if (Died(checked)) checked = CheckWithUnused(sql, patience, query);
    pool_.GiveBack(std::move(query.worker));
    TablesMessage reads = TRY(std::move(checked));
    return StatementFacts{std::string(TrimStatement(sql)),
                          reads.explain,
                          reads.events,
                          reads.logs,
                          reads.catalog,
                          std::move(reads.lake),
                          std::move(reads.not_row_wise),
                          std::move(reads.functions)};
  }

  EngineStats stats() const override {
    return {counts_.alive, counts_.started, counts_.killed, counts_.crashed};
  }

 private:
  double MsSince(int64_t start_ns) const {
    return static_cast<double>(clock_.MonotonicNs() - start_ns) / 1e6;
  }

  Status CheckLength(std::string_view sql) const {
    if (sql.size() <= options_.sql_bytes_max) return {};
    return MakeError(ErrorKind::kInvalid, "SQL_ERROR",
                     fmt::format("the text is longer than {} bytes", options_.sql_bytes_max),
                     fmt::format(R"({{"sqlBytesMax":{}}})", options_.sql_bytes_max));
  }

  // A worker that died while it waited for work, which shows only now, gives way to an unused one,
  // of which each may have died too; so does one that cannot open what the plan reads.
  Status Plan(const QueryRequest& request, const Patience& patience, OpenQuery& query) {
    Result<TablesMessage> checked = query.worker->Check(request.sql, patience);
    if (Died(checked)) checked = CheckWithUnused(request.sql, patience, query);
    const TablesMessage reads = TRY(std::move(checked));
    TRY(query.plan.Make(reads, request, request.source != nullptr ? *request.source : *source_,
                        checks_));
    if (query.worker->CanServe(request.ns, query.plan.paths())) return {};
    TRY(CheckWithUnused(request.sql, patience, query));
    return {};
  }

  static bool Died(const Result<TablesMessage>& checked) {
    return !checked.ok() && checked.error().code == "QUERY_FAILED";
  }

  Result<TablesMessage> CheckWithUnused(std::string_view sql, const Patience& patience,
                                        OpenQuery& query) {
    for (uint32_t died = 0;; ++died) {
      query.worker = TRY(pool_.TakeUnused(patience));
      Result<TablesMessage> checked = query.worker->Check(sql, patience);
      if (!Died(checked) || died == options_.instances_ready) return checked;
    }
  }

  // A result with rows left becomes a cursor; a worker that nothing went wrong in is used again.
  template <typename GetPage>
  Result<QuerySummary> SendPage(const NamespaceId& ns, std::unique_ptr<OpenQuery> query,
                                const GetPage& get_page) {
    std::string id;
    if (query->page_rows > 0) {
      TRY(cursors_.MakeRoom(ns));
      id = cursors_.NewId();
    }
    Result<DoneMessage> page = get_page(id, *query);
    if (!page.ok()) {
      Error error = query->plan.Readable(std::move(page).error(), options_.memory_bytes_max);
      pool_.GiveBack(std::move(query->worker));
      return error;
    }
    QuerySummary summary{page->rows, page->more ? id : "", query->plan.warnings()};
    std::ranges::move(page->warnings, std::back_inserter(summary.warnings));
    if (page->more) {
      cursors_.Put(id, ns, std::move(query));
    } else {
      pool_.GiveBack(std::move(query->worker));
    }
    return summary;
  }

  void DropIdle() {
    cursors_.DropIdle();
    pool_.DropIdle();
  }

  const EngineOptions options_;
  SnapshotSource* source_;
  const Clock& clock_;
  WorkerCounts counts_;
  FileChecks checks_;
  Admission admission_;
  Cursors cursors_;
  WorkerPool pool_;  // the last to come, the first to go: its thread looks at the others
};

}  // namespace

Result<StatementFacts> Engine::Check(const NamespaceId& /*ns*/, std::string_view /*sql*/,
                                     const std::atomic<bool>* /*cancelled*/) {
  return MakeError(ErrorKind::kRetryable, "NO_ENGINE", "nothing here checks statements");
}

Result<std::unique_ptr<Engine>> Engine::Open(EngineOptions options, SnapshotSource* source,
                                             const Clock& clock, Random& random) {
  if (options.threads == 0 || options.queries_max == 0) {
    return MakeError(ErrorKind::kInvalid, "query threads and queries_max must be at least 1");
  }
  RemoveLeftovers(options.temp_directory);
  return std::unique_ptr<Engine>(
      std::make_unique<DuckEngine>(std::move(options), source, clock, random));
}

}  // namespace varve::query
