// SQL over one snapshot: DuckDB in processes of its own, one SELECT a call, no file or network of
// its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/namespace_id.h"
#include "core/result.h"
#include "query/snapshot.h"

namespace varve::query {

enum class ResultFormat : uint8_t { kJson, kNdjson, kCsv, kArrowStream, kParquet, kTable };

// How a SQL worker is started: a program that calls RunSqlWorker (sql_worker.h).
struct WorkerCommand {
  std::vector<std::string> argv = {"/proc/self/exe", "sql-worker"};  // [0]: a path
  std::vector<std::string> environment;                              // NAME=value; nothing else
};

struct EngineOptions {
  uint64_t memory_bytes_max = 512ull << 20;  // a query
  uint32_t threads = 2;                      // a query
  uint32_t queries_max = 4;                  // at once; more wait, then kExhausted (BUSY)
  uint64_t queue_wait_ms = 5'000;
  uint64_t query_ms_max = 60'000;
  uint64_t sql_bytes_max = 65'536;
  uint64_t result_bytes_max = 1ull << 30;
  uint32_t cursors_max = 16;
  uint64_t cursor_idle_ms = 60'000;
  std::string temp_directory;  // empty: no spilling
  uint64_t temp_bytes_max = 4ull << 30;
  uint32_t instances_ready = 2;  // kept open in advance, each in a worker
  WorkerCommand worker;
  uint64_t worker_overhead_bytes = 512ull << 20;  // beyond memory_bytes_max; see worker_limits.cc
  uint32_t worker_nice = 5;                       // behind the server's own work
  uint32_t files_checked_max = 200'000;           // whose footers are remembered
};

struct QueryRequest {
  NamespaceId ns;
  std::string sql;
  ResultFormat format = ResultFormat::kJson;
  uint64_t rows_max = 0;  // 0: all of them in one answer; else a page, and a cursor where more wait
  TimeRange range;        // a hint for what the snapshot must hold
  SnapshotSource* source = nullptr;  // in place of the engine's; outlives the call and its pages
};

struct QuerySummary {
  uint64_t rows = 0;
  std::string next_cursor;            // empty: nothing waits
  std::vector<std::string> warnings;  // corrupt files left out, by key
};

// What a statement is, before anything is run.
struct StatementFacts {
  std::string sql;  // without blanks, comments and semicolons around it
  bool explain = false;
  bool reads_events = false, reads_logs = false, reads_catalog = false;
  std::vector<TableRef> lake;
  std::string not_row_wise;            // why (row_wise.h)
  std::vector<std::string> functions;  // that a row-wise statement calls
};

struct EngineStats {
  uint64_t workers_alive = 0;
  uint64_t workers_started = 0, workers_killed = 0, workers_crashed = 0;
};

// Where the answer's bytes go, in order; false ends the query (the client has gone).
using ByteSink = std::function<bool(std::string_view bytes)>;

class Engine {
 public:
  // source, clock and random outlive the engine; all of its calls are thread-safe.
  static Result<std::unique_ptr<Engine>> Open(EngineOptions options, SnapshotSource* source,
                                              const Clock& clock = SystemClock(),
                                              Random& random = SystemRandom());
  virtual ~Engine() = default;
  // Blocks. *cancelled becoming true ends it (kCancelled). Errors: kInvalid SQL_ERROR (with
  // DuckDB's words), SQL_NOT_ALLOWED (not one SELECT), kForbidden SQL_FORBIDDEN (a file or network
  // access), kCancelled QUERY_TIMEOUT | QUERY_CANCELLED, kExhausted QUERY_MEMORY | RESULT_TOO_LARGE
  // | BUSY, kCorrupt CORRUPT_OBJECT, kInternal QUERY_FAILED (its process has crashed). After the
  // sink got bytes an error can still come.
  virtual Result<QuerySummary> Run(const QueryRequest& request, const ByteSink& sink,
                                   const std::atomic<bool>* cancelled) = 0;
  // The next page of a cursor of the same namespace; kNotFound CURSOR_EXPIRED.
  virtual Result<QuerySummary> Next(const NamespaceId& ns, std::string_view cursor,
                                    const ByteSink& sink, const std::atomic<bool>* cancelled) = 0;
  // Errors as of Run, those of the text.
  virtual Result<StatementFacts> Check(const NamespaceId& ns, std::string_view sql,
                                       const std::atomic<bool>* cancelled);
  virtual EngineStats stats() const { return {}; }
};

}  // namespace varve::query
