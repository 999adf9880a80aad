// 1. kSetup: limits itself, opens DuckDB, says kReady.
// 2. kCheck: parses the statement, which is kept; says what it reads.
// 3. kFiles, any number; kRun: closes DuckDB to everything but the statement's files (once, for
//    good), runs it, sends its first page: kData, then kDone.
// 4. kNext: the next page, as long as the last one had more to come.
//
// Nothing here looks at time or at being cancelled: the server kills who takes too long.
#include "query/sql_worker.h"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/clock.h"
#include "query/channel.h"
#include "query/execution.h"
#include "query/worker_limits.h"
#include "query/worker_process.h"

namespace varve::query {

namespace {

constexpr uint64_t kFrameBytesMax = 1ull << 30;  // a view's text names each of its files
constexpr size_t kDataBytesMax = 256 << 10;
constexpr size_t kMessageBytesMax = 64 << 10;

Error OutOfTurn() { return MakeError(ErrorKind::kInternal, "a frame came out of turn"); }

class SqlWorker {
 public:
  explicit SqlWorker(Channel channel) : channel_(std::move(channel)) {}

  // Until the server has gone.
  Status Serve() {
    while (true) {
      Frame frame = TRY(channel_.Receive(forever_));
      const Status answered = Answer(frame);
      if (answered.ok()) continue;
      if (answered.error().kind == ErrorKind::kUnknown) return answered;
      execution_.reset();
      TRY(SendError(answered.error()));
    }
  }

 private:
  Status Answer(Frame& frame) {
    const int64_t start_ns = SystemClock().MonotonicNs();
    switch (frame.type) {
      case FrameType::kSetup:
        return SetUp(TRY(Decode<SetupMessage>(frame.payload)));
      case FrameType::kCheck:
        return Check(frame.payload);
      case FrameType::kFiles:
        return MapFiles(frame.files);
      case FrameType::kRun:
        return Run(TRY(Decode<RunMessage>(frame.payload)), start_ns);
      case FrameType::kNext:
        if (!execution_) return OutOfTurn();
        return SendPage(TRY(Decode<NextMessage>(frame.payload)), start_ns);
      default:
        return OutOfTurn();
    }
  }

  Status SetUp(SetupMessage setup) {
    setup_ = std::move(setup);
    TRY(LimitWorker(setup_));
    instance_ = TRY(Instance::Open(setup_));
    return channel_.Send(FrameType::kReady, {}, forever_);
  }

  Status Check(std::string_view sql) {
    if (!instance_ || execution_) return OutOfTurn();
    files_.reset();
    if (sql != last_checked_.first) {  // a dashboard asks the same again and again
      last_checked_ = {std::string(sql), TRY(CheckStatement(*instance_, sql))};
    }
    statement_ = last_checked_.second;
    const std::set<std::string>& functions = statement_->row_wise.functions;
    return channel_.Send(FrameType::kTables,
                         Encode(TablesMessage{statement_->reads_events,
                                              statement_->reads_logs,
                                              statement_->reads_catalog,
                                              statement_->explain,
                                              statement_->lake,
                                              statement_->row_wise.why_not,
                                              {functions.begin(), functions.end()}}),
                         forever_);
  }

  Status MapFiles(const std::vector<store::UniqueFd>& files) {
    if (!files_) files_ = std::make_unique<MappedFiles>();
    for (const store::UniqueFd& file : files) TRY(files_->Map(file));
    return {};
  }

  Status Run(RunMessage run, int64_t start_ns) {
    if (!statement_ || execution_) return OutOfTurn();
    const Statement statement = *std::exchange(statement_, std::nullopt);
    const NextMessage first = run.page;
    if (!files_) files_ = std::make_unique<MappedFiles>();
    execution_ = std::make_unique<Execution>(*instance_, setup_, std::move(run), std::move(files_));
    TRY(execution_->Start(statement));
    return SendPage(first, start_ns);
  }

  Status SendPage(const NextMessage& page, int64_t start_ns) {
    DoneMessage done = TRY(execution_->WritePage(
        page, start_ns, [this](std::string_view bytes) { return SendData(bytes); }));
    if (!done.more) execution_.reset();
    done.worn = !done.more && DataBytes() > setup_.overhead_bytes + setup_.memory_bytes_max / 2;
    return channel_.Send(FrameType::kDone, Encode(done), forever_);
  }

  bool SendData(std::string_view bytes) {
    while (!bytes.empty()) {
      const std::string_view part = bytes.substr(0, kDataBytesMax);
      if (!channel_.Send(FrameType::kData, part, forever_).ok()) return false;
      bytes.remove_prefix(part.size());
    }
    return true;
  }

  Status SendError(const Error& error) {
    ErrorMessage message{error.kind, error.code, error.message, error.details_json};
    message.message.resize(std::min(message.message.size(), kMessageBytesMax));
    return channel_.Send(FrameType::kError, Encode(message), forever_);
  }

  Channel channel_;
  const Patience forever_;
  SetupMessage setup_;
  std::unique_ptr<Instance> instance_;
  std::pair<std::string, Statement> last_checked_;  // a text, and what it is
  std::optional<Statement> statement_;              // checked, and not yet run
  std::unique_ptr<MappedFiles> files_;              // for the statement to come
  std::unique_ptr<Execution> execution_;
};

}  // namespace

int RunSqlWorker() {
  DetachWorker();
  SqlWorker worker(Channel(store::UniqueFd(WorkerProcess::kSocketFd), kFrameBytesMax));
  [[maybe_unused]] const Status ended = worker.Serve();
  _exit(0);  // what DuckDB would tidy up goes with the process
}

}  // namespace varve::query
