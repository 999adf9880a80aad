// A SQL worker as the server sees it: a process that runs statements of one namespace. Used by one
// thread at a time.
//
// What it may open can never be widened: once it has run a statement it serves that namespace only,
// and only snapshots that hold no file that is new to it.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_set>

#include "query/channel.h"
#include "query/engine.h"
#include "query/query_plan.h"
#include "query/worker_messages.h"
#include "query/worker_process.h"

namespace varve::query {

struct WorkerCounts {
  std::atomic<uint64_t> alive{0}, started{0}, killed{0}, crashed{0};
};

class Worker {
 public:
  // On the thread that its life hangs on. It opens DuckDB while nobody waits for it. The temporary
  // directory is its own, and removed at its end. Options and counts outlive it.
  static Result<std::unique_ptr<Worker>> Start(const EngineOptions& options,
                                               std::string temp_directory, WorkerCounts& counts);
  ~Worker();  // it is killed if it has not ended

  bool IsAlive() const { return channel_.IsOpen(); }
  bool CanServe(const NamespaceId& ns, std::span<const std::string> paths) const;
  bool closed() const { return closed_; }
  const NamespaceId& ns() const { return ns_; }
  // Whether nothing of its last statement is left that could harm the next one.
  bool reusable() const { return reusable_; }

  // Errors of all three: the statement's own, the patience's, kExhausted QUERY_MEMORY or kInternal
  // QUERY_FAILED when the process has ended. Check is the first; Run takes the plan of what it
  // said.
  Result<TablesMessage> Check(std::string_view sql, const Patience& patience);
  Result<DoneMessage> Run(const NamespaceId& ns, const QueryPlan& plan, ResultFormat format,
                          uint64_t page_rows, const NextMessage& page, const ByteSink& sink,
                          const Patience& patience);
  Result<DoneMessage> Next(const NextMessage& page, const ByteSink& sink, const Patience& patience);

 private:
  Worker(const EngineOptions& options, std::string temp_directory, WorkerCounts& counts,
         std::unique_ptr<WorkerProcess> process);
  Status SendFiles(const std::vector<HotFile>& files, const Patience& patience);
  std::vector<TableMessage> TablesOf(const QueryPlan& plan);
  Result<DoneMessage> TakePage(const ByteSink& sink, const Patience& patience);
  Status Send(FrameType type, std::string_view payload, const Patience& patience,
              std::span<const int> files = {});
  Result<Frame> Receive(FrameType expected, const Patience& patience);
  Error Ended(Error error);

  const EngineOptions& options_;
  const std::string temp_directory_;
  WorkerCounts& counts_;
  std::unique_ptr<WorkerProcess> process_;
  Channel channel_;

  bool ready_ = false;     // it has said so
  bool reusable_ = false;  // see above
  bool closed_ = false;
  NamespaceId ns_;
  std::unordered_set<std::string> allowed_;
  std::map<std::string, std::string> views_;  // that it has, by name, of its last statement
};

}  // namespace varve::query
