// One input through several connections. The calling thread reads; senders send; what has been
// acknowledged without a gap is what a later run need not read again.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "app/batch_reader.h"
#include "app/batch_sender.h"
#include "core/result.h"

namespace varve::app {

struct IngestTotals {
  uint64_t stored = 0, deduplicated = 0, bad = 0;
  uint64_t bytes_done = 0;                  // of the input, acknowledged or in flight before them
  uint64_t safe_offset = 0, safe_line = 1;  // everything before is settled
  std::vector<BadEvent> first_bad;          // at most 20
};

class IngestRun {
 public:
  IngestRun(const SenderOptions& options, uint32_t connections, uint64_t start, uint64_t line);
  ~IngestRun();

  // Reads the input to its end and waits for every acknowledgement. on_progress is called on this
  // thread, several times a second. The error is the first one that ended the run.
  Status Run(BatchReader& reader, const std::function<void(const IngestTotals&)>& on_progress);
  IngestTotals totals();

 private:
  void SendLoop();
  bool Enqueue(InputBatch batch, const std::function<void(const IngestTotals&)>& on_progress);
  void Settle(const InputBatch& batch, const SendOutcome& outcome);

  SenderOptions options_;
  std::vector<std::jthread> senders_;

  std::mutex mutex_;  // guards the rest
  std::condition_variable changed_;
  std::deque<InputBatch> waiting_;
  size_t waiting_max_;
  size_t in_flight_ = 0;
  bool closed_ = false;
  std::optional<Error> error_;
  IngestTotals totals_;
  std::map<uint64_t, std::pair<uint64_t, uint64_t>> settled_;  // begin → end, next line
};

}  // namespace varve::app
