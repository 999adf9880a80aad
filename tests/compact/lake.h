// A small lake for the tests: store, state, queue, notifier and ledger, real ones, and the words to
// put raw files in and read rows out.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "compact/raw_consumer.h"
#include "core/clock.h"
#include "notify/notification.h"
#include "notify/notifier.h"
#include "queue/sqlite_queue.h"
#include "state/database.h"
#include "store/object_store.h"

namespace varve::compact {

inline constexpr char kQueueName[] = "raw";
inline constexpr char kDeadLetters[] = "dead";
inline constexpr int64_t kHour = 3'600'000;
inline constexpr int64_t kNoon = 1'767'268'800'000;  // 2026-01-01T12:00:00Z

// A normalised item with one log at that time.
std::string Item(int64_t ms, std::string_view message, std::string_view outcome = "ok");
std::string RawBytes(const std::vector<std::string>& items);

// The `message` column of a log file's rows.
std::vector<std::string> MessagesOf(const std::string& parquet_bytes);

// How often each message is in the log files and raw files that a reader sees; with `glob`, in
// every log file that is there, as another program would read the directory.
std::map<std::string, int> VisibleMessages(store::ObjectStore& store, RawLedger& ledger);
std::map<std::string, int> GlobbedMessages(store::ObjectStore& store);

struct Lake {
  // Borrows the store, which may be in front of the one that is listened to.
  Lake(store::ObjectStore& store, const std::string& state_path, const Clock& clock, Random& random,
       RawConsumerOptions options = {});

  std::string PutRaw(std::string_view key, const std::vector<std::string>& items);
  void Announce(std::string_view key, std::string_view etag = "e");
  // Runs rounds, letting time pass for retries, until the queue is empty; at most rounds_max.
  template <typename ClockT>
  bool Drain(ClockT& clock, int rounds_max = 50) {
    for (int round = 0; round < rounds_max; ++round) {
      (void)consumer->RunOnce();
      if (queue->Stats(kQueueName).value().backlog == 0 && ledger->Unfinished(1)->empty()) {
        return true;
      }
      clock.AdvanceMs(400'000);
    }
    return false;
  }

  store::ObjectStore& store;
  std::unique_ptr<state::Database> database;
  std::unique_ptr<queue::SqliteQueue> queue;
  std::unique_ptr<RawLedger> ledger;
  std::unique_ptr<notify::Notifier> notifier;
  std::unique_ptr<RawConsumer> consumer;
};

}  // namespace varve::compact
