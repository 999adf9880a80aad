#include "query/engine.h"

#include <fmt/format.h>
#include <signal.h>

#include <charconv>
#include <filesystem>

#include "query/admission.h"
#include "query/cursors.h"
#include "query/execution.h"
#include "query/file_checks.h"
#include "query/instance.h"
#include "query/watchdog.h"

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
        pool_(options_, clock),
        admission_(clock, options_.queries_max, options_.queue_wait_ms),
        cursors_(options_, clock, random),
        watchdog_(clock, [this] { DropIdle(); }) {}

  Result<QuerySummary> Run(const QueryRequest& request, const ByteSink& sink,
                           const std::atomic<bool>* cancelled) override {
    const int64_t start_ns = clock_.MonotonicNs();
    const auto ticket = TRY(admission_.Enter(cancelled));
    auto instance = TRY(pool_.Take(request.ns));
    const auto statement = Check(*instance, request.sql);
    auto execution = std::make_unique<Execution>(options_, request.format);
    Status planned = statement.ok() ? execution->Plan(*statement, request, *source_, checks_)
                                    : Status(statement.error());
    if (!planned.ok()) {
      pool_.GiveBack(std::move(instance));
      return std::move(planned).error();
    }
    if (!instance->CanServe(request.ns, execution->paths())) {
      instance = TRY(pool_.TakeUnused());
    }
    execution->Adopt(std::move(instance));
    auto summary = [&]() -> Result<QuerySummary> {
      const Watchdog::Watch watch(watchdog_, execution->connection(), Deadline(), cancelled);
      Status started = execution->Start(*statement, request.ns);
      if (!started.ok()) return Explained(std::move(started).error(), watch, *execution);
      return SendPage(*execution, request.ns, start_ns, sink, watch);
    }();
    return Keep(std::move(summary), request.ns, std::move(execution));
  }

  Result<QuerySummary> Next(const NamespaceId& ns, std::string_view cursor, const ByteSink& sink,
                            const std::atomic<bool>* cancelled) override {
    const int64_t start_ns = clock_.MonotonicNs();
    const auto ticket = TRY(admission_.Enter(cancelled));
    auto execution = TRY(cursors_.Take(ns, cursor));
    auto summary = [&]() -> Result<QuerySummary> {
      const Watchdog::Watch watch(watchdog_, execution->connection(), Deadline(), cancelled);
      return SendPage(*execution, ns, start_ns, sink, watch);
    }();
    return Keep(std::move(summary), ns, std::move(execution));
  }

 private:
  int64_t Deadline() const {
    return clock_.MonotonicNs() + static_cast<int64_t>(options_.query_ms_max) * 1'000'000;
  }

  Result<Statement> Check(Instance& instance, std::string_view sql) const {
    if (sql.size() <= options_.sql_bytes_max) return CheckStatement(instance, sql);
    return MakeError(ErrorKind::kInvalid, "SQL_ERROR",
                     fmt::format("the text is longer than {} bytes", options_.sql_bytes_max),
                     fmt::format(R"({{"sqlBytesMax":{}}})", options_.sql_bytes_max));
  }

  Error Explained(Error error, const Watchdog::Watch& watch, const Execution& execution) const {
    return watch.Explain(execution.Readable(std::move(error)), options_.query_ms_max);
  }

  Result<QuerySummary> SendPage(Execution& execution, const NamespaceId& ns, int64_t start_ns,
                                const ByteSink& sink, const Watchdog::Watch& watch) {
    std::string id;
    if (execution.page_rows() > 0) {
      TRY(cursors_.MakeRoom(ns));
      id = cursors_.NewId();
    }
    auto page = execution.WritePage(id, clock_, start_ns, sink);
    if (!page.ok()) {
      // Threads that still work for a result nobody wants end now, not at their next pause.
      duckdb_interrupt(execution.connection());
      return Explained(std::move(page).error(), watch, execution);
    }
    return QuerySummary{page->rows, page->more ? id : std::string(), std::move(page->warnings)};
  }

  // A result with rows left becomes a cursor; an instance that nothing went wrong in is used again.
  // Neither while its connection is still watched.
  Result<QuerySummary> Keep(Result<QuerySummary> summary, const NamespaceId& ns,
                            std::unique_ptr<Execution> execution) {
    if (summary.ok() && !summary->next_cursor.empty()) {
      cursors_.Put(summary->next_cursor, ns, std::move(execution));
    } else if (summary.ok() || summary.error().kind == ErrorKind::kInvalid) {
      pool_.GiveBack(execution->Release());
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
  FileChecks checks_;
  InstancePool pool_;
  Admission admission_;
  Cursors cursors_;
  Watchdog watchdog_;  // the last to come, the first to go: it looks at the others
};

}  // namespace

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
