// From messages to raw files in memory. Decides what becomes of each message that needs no rows:
//
//   no notification at all            → dead letter at once: it can never succeed
//   not of a raw file, or of a delete → ack, counted as skipped
//   its source is in a done plan      → ack: the rows are there
//   its source is in a plan under way → given back, without blame, for a little later
//   its raw file is not ready yet     → the same
//   object missing, or not the bytes  → retry; after the retries a dead letter that says why
//     that its ETag promises
//   the store cannot be reached       → given back, without blame
//   this batch holds its limit        → given back at once, for the next batch
//
// The object is taken as it is now, whatever ETag the message had. Messages of one key share it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "compact/raw_ledger.h"
#include "compact/raw_rows.h"
#include "core/result.h"
#include "notify/notification.h"
#include "queue/sqlite_queue.h"
#include "store/object_store.h"

namespace varve::compact {

struct IntakeOptions {
  std::string queue;
  std::string raw_prefix = "raw-events";
  uint64_t bytes_max = 64ull << 20;                 // no further raw file is read beyond it
  uint64_t give_back_ms = 1'000;                    // how long a message given back stays away
  std::function<bool(std::string_view key)> ready;  // unset: every raw file is
};

struct IntakeCounts {
  uint64_t messages = 0, skipped = 0, already_processed = 0, raw_files = 0;
  uint64_t retried = 0, dead_lettered = 0, given_back = 0;
  void Add(const IntakeCounts& more);
};

struct HeldMessage {
  std::string lease_id;
  int64_t sent_ms = 0;
  size_t open = 0;       // sources whose plan is still to be done
  bool settled = false;  // acked, retried or given back
};

struct HeldSource {
  RawSource raw;
  std::vector<size_t> messages;  // that are about it
};

class RawIntake {
 public:
  RawIntake(IntakeOptions options, store::ObjectStore& store, queue::SqliteQueue& queue,
            RawLedger& ledger)
      : options_(std::move(options)), store_(store), queue_(queue), ledger_(ledger) {}

  // Reads what the messages are about, and settles those that need nothing more. An Error, after
  // that, where the store failed: the caller pauses before it takes more.
  Status Add(const std::vector<queue::Message>& messages);
  // The messages of a source that cannot be processed.
  Status Blame(const HeldSource& source, const Error& error);
  Status GiveBack(const std::vector<const HeldSource*>& sources, uint64_t delay_ms);
  std::vector<std::string> OpenLeases() const;

  std::vector<HeldMessage>& messages() { return messages_; }
  std::vector<HeldSource>& sources() { return sources_; }
  uint64_t items() const { return items_; }
  uint64_t bytes() const { return bytes_; }
  const IntakeCounts& counts() const { return counts_; }

 private:
  struct Verdicts {
    std::vector<std::string> acks;
    std::vector<queue::RetryRequest> retries;
    std::vector<std::string> given_back;
    std::vector<std::string> unread;  // no room for them in this batch
  };
  enum class Found : uint8_t { kOpen, kProcessed, kElsewhere, kNotRaw };

  void Judge(const queue::Message& message, Verdicts& verdicts);
  Result<Found> Take(const notify::Notification& notification, size_t message);
  Result<Found> TakeKey(const std::string& key, size_t message);
  Status Settle(Verdicts& verdicts, uint64_t give_back_ms);
  void RetryOrGiveBack(HeldMessage& message, const Error& error, Verdicts& verdicts);

  const IntakeOptions options_;
  store::ObjectStore& store_;
  queue::SqliteQueue& queue_;
  RawLedger& ledger_;

  std::vector<HeldMessage> messages_;
  std::vector<HeldSource> sources_;
  std::map<std::string, size_t, std::less<>> source_of_key_;
  uint64_t items_ = 0;
  uint64_t bytes_ = 0;
  IntakeCounts counts_;
  Status store_failure_;
};

}  // namespace varve::compact
