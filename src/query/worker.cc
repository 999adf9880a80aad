#include "query/worker.h"

#include <fmt/format.h>
#include <string.h>

#include <algorithm>
#include <filesystem>

#include "core/log.h"
#include "query/mapped_files.h"
#include "query/worker_limits.h"

namespace varve::query {

namespace {

constexpr uint64_t kFrameBytesMax = 64 << 20;  // what a worker may say at once

}  // namespace

Result<std::unique_ptr<Worker>> Worker::Start(const EngineOptions& options,
                                              std::string temp_directory, WorkerCounts& counts) {
  std::unique_ptr<WorkerProcess> process = TRY(WorkerProcess::Start(options.worker));
  std::unique_ptr<Worker> worker(
      new Worker(options, std::move(temp_directory), counts, std::move(process)));
  SetupMessage setup;
  setup.memory_bytes_max = options.memory_bytes_max;
  setup.overhead_bytes = options.worker_overhead_bytes;
  setup.temp_bytes_max = options.temp_bytes_max;
  setup.result_bytes_max = options.result_bytes_max;
  setup.threads = options.threads;
  setup.nice = static_cast<int32_t>(options.worker_nice);
  setup.temp_directory = worker->temp_directory_;
  TRY(worker->Send(FrameType::kSetup, Encode(setup), Patience()));
  return worker;
}

Worker::Worker(const EngineOptions& options, std::string temp_directory, WorkerCounts& counts,
               std::unique_ptr<WorkerProcess> process)
    : options_(options),
      temp_directory_(std::move(temp_directory)),
      counts_(counts),
      process_(std::move(process)),
      channel_(process_->TakeSocket(), kFrameBytesMax) {
  ++counts_.started;
  ++counts_.alive;
}

Worker::~Worker() {
  process_->Kill();
  --counts_.alive;
  if (temp_directory_.empty()) return;
  std::error_code ignored;  // what is left is removed when the engine opens again
  std::filesystem::remove_all(temp_directory_, ignored);
}

bool Worker::CanServe(const NamespaceId& ns, std::span<const std::string> paths) const {
  if (!closed_) return true;
  if (ns != ns_) return false;
  return std::ranges::all_of(paths,
                             [&](const std::string& path) { return allowed_.contains(path); });
}

Result<TablesMessage> Worker::Check(std::string_view sql, const Patience& patience) {
  if (!ready_) TRY(Receive(FrameType::kReady, patience));
  ready_ = true;
  reusable_ = false;
  TRY(Send(FrameType::kCheck, sql, patience));
  Frame frame = TRY(Receive(FrameType::kTables, patience));
  reusable_ = true;
  return Decode<TablesMessage>(frame.payload);
}

Result<DoneMessage> Worker::Run(const NamespaceId& ns, const QueryPlan& plan, ResultFormat format,
                                uint64_t page_rows, const NextMessage& page, const ByteSink& sink,
                                const Patience& patience) {
  CHECK(CanServe(ns, plan.paths()));
  reusable_ = false;
  RunMessage run;
  run.closed = closed_;
  if (!closed_) run.paths = plan.paths();
  run.tables = TablesOf(plan);
  run.warnings = plan.warnings();
  run.format = format;
  run.page_rows = page_rows;
  run.page = page;
  if (std::ranges::any_of(run.tables, [](const auto& table) { return !table.hot.empty(); })) {
    TRY(SendFiles(plan.snapshot().hot_files, patience));
  }
  TRY(Send(FrameType::kRun, Encode(run), patience));
  if (!closed_) {
    closed_ = true;
    ns_ = ns;
    allowed_.insert(plan.paths().begin(), plan.paths().end());
  }
  Result<DoneMessage> done = TakePage(sink, patience);
  if (!done.ok()) views_ = {};  // one of them may be what failed
  return done;
}

Result<DoneMessage> Worker::Next(const NextMessage& page, const ByteSink& sink,
                                 const Patience& patience) {
  TRY(Send(FrameType::kNext, Encode(NextMessage(page)), patience));
  return TakePage(sink, patience);
}

Status Worker::SendFiles(const std::vector<HotFile>& files, const Patience& patience) {
  for (size_t at = 0; at < files.size(); at += Channel::kFilesMax) {
    std::vector<int> fds;
    for (size_t i = at; i < std::min(files.size(), at + Channel::kFilesMax); ++i) {
      fds.push_back(files[i].fd);
    }
    TRY(Send(FrameType::kFiles, {}, patience, fds));
  }
  return {};
}

std::vector<TableMessage> Worker::TablesOf(const QueryPlan& plan) {
  std::vector<TableMessage> messages;
  std::map<std::string, std::string> views;
  for (const TablePlan& table : plan.tables()) {
    TableMessage& message = messages.emplace_back();
    message.kind = table.kind;
    message.name = table.name;
    message.view_changed = views_[table.name] != table.view;
    if (message.view_changed) message.view = table.view;
    views[table.name] = table.view;
    message.has_rows = table.has_rows;
    if (!table.has_rows) continue;
    message.ndjson = table.snapshot->ndjson;
    message.hot.reserve(table.snapshot->hot.size());
    for (const HotChunk& chunk : table.snapshot->hot) {
      message.hot.push_back(PlaceOf(chunk, plan.snapshot().hot_files[chunk.file]));
    }
  }
  // Those of lake tables that it does not name are dropped there.
  for (const char* name : {kEventsView, kLogsView}) {
    if (!views.contains(name)) views[name] = views_[name];
  }
  views_ = std::move(views);
  return messages;
}

Result<DoneMessage> Worker::TakePage(const ByteSink& sink, const Patience& patience) {
  while (true) {
    Frame frame = TRY(Receive(FrameType::kDone, patience));
    if (frame.type == FrameType::kDone) {
      DoneMessage done = TRY(Decode<DoneMessage>(frame.payload));
      reusable_ = !done.more && !done.worn;
      return done;
    }
    if (sink(frame.payload)) continue;
    return Ended(MakeError(ErrorKind::kCancelled, "QUERY_CANCELLED", "the client has gone"));
  }
}

Status Worker::Send(FrameType type, std::string_view payload, const Patience& patience,
                    std::span<const int> files) {
  Status sent = channel_.Send(type, payload, patience, files);
  if (sent.ok()) return sent;
  return Ended(std::move(sent).error());
}

Result<Frame> Worker::Receive(FrameType expected, const Patience& patience) {
  Result<Frame> frame = channel_.Receive(patience);
  if (!frame.ok()) return Ended(std::move(frame).error());
  if (frame->type == FrameType::kError) {
    auto told = TRY(Decode<ErrorMessage>(frame->payload));
    reusable_ = told.kind == ErrorKind::kInvalid || expected == FrameType::kTables;
    return MakeError(std::min(told.kind, ErrorKind::kInternal), std::move(told.code),
                     std::move(told.message), std::move(told.details_json));
  }
  const bool part = expected == FrameType::kDone && frame->type == FrameType::kData;
  if (frame->type == expected || part) return frame;
  return Ended(MakeError(ErrorKind::kUnknown, "a SQL worker's frame came out of turn"));
}

// After any error of the conversation itself the process is no more: it is killed because nobody
// waits for it, or it has ended by itself, and how is the answer.
Error Worker::Ended(Error error) {
  reusable_ = false;
  if (error.kind == ErrorKind::kCancelled) {
    process_->Kill();
    ++counts_.killed;
    return error;
  }
  const WorkerDeath death = process_->Bury();
  ++counts_.crashed;
  const char* name = death.signal != 0 ? sigabbrev_np(death.signal) : nullptr;
  LogWarn("query.worker_died", {{"signal", name != nullptr ? name : ""},
                                {"exit_code", death.exit_code},
                                {"error", error.message},
                                {"stderr", death.last_words}});
  if (death.signal == 0 && death.exit_code == kExitNoMemory) {
    return MakeError(ErrorKind::kExhausted, "QUERY_MEMORY", "");
  }
  return MakeError(ErrorKind::kInternal, "QUERY_FAILED",
                   name != nullptr
                       ? fmt::format("the query's process was ended by SIG{}", name)
                       : fmt::format("the query's process ended with code {}", death.exit_code));
}

}  // namespace varve::query
