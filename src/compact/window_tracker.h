// Which writers' files are there, in which window, and who compacts them. Each file's bytes (key,
// ETag) are compacted once:
//
// 1. Note puts what was announced into the pending round of its window. The primary key makes a
//    second announcement nothing; other bytes under a pending key take its place.
// 2. Dispatch, one transaction a window: the pending round's files are pinned, the workflow made,
//    the round handed to it. So a file is in no more than one workflow, whoever dispatches at the
//    same time; what arrives from then on is a later round.
// 3. Settle, inside the transaction that ends the workflow's commit: compacted, quarantined, or
//    changed. End: what is left is pending again.
// 4. A file whose bytes were others than announced is looked at again (Rechecks): the store says
//    what is there now, and that is noted. So bytes that came, went and came back are not lost.
// 5. Bytes that are compacted and come again under another ETag are twins (source_twins.h).
//
// All state is in the tables: any number of trackers may work on one database. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compact/compaction.h"
#include "compact/raw_ledger.h"
#include "compact/source_name.h"
#include "compact/window_quorum.h"
#include "compact/window_settings.h"
#include "compact/window_state.h"
#include "compact/window_tables.h"
#include "core/clock.h"
#include "core/result.h"
#include "state/database.h"

namespace varve::compact {

// A writer's file that is there, or has gone.
struct Arrival {
  SourceName name;
  std::string key, etag;
  uint64_t size = 0;
  bool gone = false;
  bool current = false;  // the store itself says that these are the key's bytes now
};

struct NoteCounts {
  uint64_t added = 0;              // into a window
  uint64_t late = 0;               // of them, into a window that had been dispatched before
  uint64_t replaced = 0;           // other bytes under a key that waited
  uint64_t known = 0;              // announced again
  uint64_t already_compacted = 0;  // announced again after their compaction
  uint64_t removed = 0;            // deleted before they were taken
  void Add(const NoteCounts& more);
};

// Makes the workflow in the transaction; its id.
using StartWorkflow = std::function<Result<std::string>(state::Session&, const CompactionRequest&)>;

// What Dispatch is to look at. force: also what is held back; not what an earlier round holds.
struct DispatchWish {
  std::optional<NamespaceId> tenant = {};
  std::string ns = {};
  std::optional<int64_t> start_ms = {};
  std::optional<int64_t> seen_by_ms = {};  // rounds whose first file came later are not meant
  bool force = false;
};

struct Dispatched {
  NamespaceId tenant;
  std::string ns;
  Window window;
};

enum class Pressure : uint8_t { kNone, kNormal, kSevere };
std::string_view ToString(Pressure pressure);
Pressure PressureOf(uint64_t ready_windows, const WindowOptions& options);

enum class SourceStanding : uint8_t {
  kUnknown,
  kPending,
  kTaken,
  kCompacted,
  kQuarantined,
  kChanged
};

// Compacted bytes of the key and size of an arrival whose own are not known, or wait.
struct Lookalike {
  size_t arrival = 0;   // which
  std::string content;  // source_content.h
};

struct SourceView {
  SourceStanding standing = SourceStanding::kUnknown;
  std::string workflow_id;  // taken, and from then on
};

class WindowTracker : public SourceAccount {
 public:
  static Result<std::unique_ptr<WindowTracker>> Open(WindowOptions options,
                                                     state::Database& database, const Clock& clock);

  // A batch of announcements, in the caller's transaction (with the acks) or in one of its own.
  Result<NoteCounts> Note(state::Session& session, std::span<const Arrival> arrivals);
  Result<NoteCounts> Note(std::span<const Arrival> arrivals);

  // The ready window that comes first by priority, then age; none: nothing is ready, or enough
  // runs.
  Result<std::optional<Dispatched>> Dispatch(const DispatchWish& wish, const StartWorkflow& start);
  // Whether a round waits that is meant, be it that another one of its window runs.
  Result<bool> Waits(const DispatchWish& wish);

  // These files, by name, for a workflow that was made without a window: no window dispatches them
  // any more. kConflict, ALREADY_COMPACTED: one was, or is being.
  Status Claim(state::Session& session, std::string_view workflow_id,
               std::span<const Arrival> arrivals);

  Status Settle(state::Session& session, std::string_view workflow_id,
                const std::vector<SourceOutcome>& outcomes) override;
  Status Remember(state::Session& session, std::string_view workflow_id,
                  const std::vector<SourceContent>& contents) override;
  Status End(state::Session& session, std::string_view workflow_id) override;
  Result<bool> KeepsSources(const NamespaceId& tenant, std::string_view ns) override;

  // Compacted bytes that an arrival's may be although their ETag is another: those are to be
  // compared, and where they are the same, noted as compacted too. For SourceTwins.
  Result<std::vector<Lookalike>> Lookalikes(std::span<const Arrival> arrivals);
  Status NoteTwin(const Arrival& arrival, const std::string& content);

  // Windows that workflows have, so that whoever knows those can say which wait for an operator.
  Result<std::vector<Window>> Running();
  Status SetHalted(std::string_view workflow_id, bool halted);

  // For readers: how each of these files' bytes stands, all at one instant. Many are found sooner
  // where they are sorted.
  Result<std::vector<SourceView>> View(std::span<const SourceId> sources);

  // Whether the last bytes that were announced under the key are compacted.
  Result<bool> WasCompacted(const std::string& key);

  // Files that the store has to be asked about; each answer is noted by Recheck.
  Result<std::vector<SourceId>> Rechecks(size_t rows_max);
  Status Recheck(const SourceId& asked, const std::optional<Arrival>& now);

  // Settled files of which nothing has been heard for keep_ms, and what else is that old.
  Result<std::vector<SourceId>> Prunable(size_t rows_max);
  Status Prune(std::span<const SourceId> gone, std::span<const SourceId> still_there);
  Status PruneWindows();  // windows and writers that nothing has been heard of as long

  Result<NamespaceOverrides> Overrides(const NamespaceId& tenant, std::string_view ns);
  // The namespace's quarantined files are in windows again, as after Configure: another plan tells
  // whether they fit by now.
  Status Reconsider(const NamespaceId& tenant, std::string_view ns);
  // json: as ReadOverrides takes it. The result of it.
  Result<NamespaceOverrides> Configure(const NamespaceId& tenant, std::string_view ns,
                                       std::string_view json);

  const WindowOptions& options() const { return options_; }
  state::Database& database() { return database_; }
  const Clock& clock() const { return clock_; }

 private:
  WindowTracker(WindowOptions options, state::Database& database, const Clock& clock)
      : options_(std::move(options)), database_(database), clock_(clock) {}

  const WindowOptions options_;
  state::Database& database_;
  const Clock& clock_;
};

}  // namespace varve::compact
