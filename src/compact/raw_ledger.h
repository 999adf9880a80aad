// Which raw files are in which plan, and which plans are done. Exactly once rests on this table:
//
// - A source is a raw file's bytes: (key, ETag). It is in at most one plan; the primary key says
//   so, whatever consumers do at the same time.
// - A plan is recorded, with its sources and the names of its outputs, before any output is put.
//   The names are made of the plan's number, so doing the plan again gives the same files.
// - A plan is done in the transaction that acks its messages and sends what is downstream of it.
// - A reader shows a file that carries a plan's tag only if that plan is done in its view, and
//   reads the raw files that no done plan holds: each row once, at every moment.
//
// Where raw files are made of rows that are also readable elsewhere until a flush is done (the
// journal), a reader takes the ledger's view first, then the flush's, then lists; and the consumer
// takes no raw file before its flush is done (RawConsumerOptions::ready). A plan that is done in
// the view then has sources whose flush is done in the later view, and no row is seen twice.
//
// A plan whose sources have changed or vanished before it was done is abandoned: its files are
// never shown, and are deleted; its sources are free again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "state/database.h"
#include "store/object_store.h"

namespace varve::compact {

struct SourceId {
  std::string key;
  std::string etag;
  auto operator<=>(const SourceId&) const = default;
};

enum class SourceState : uint8_t { kNew, kPlanned, kDone };
enum class PlanState : uint8_t { kPlanned, kDone, kAbandoned };

struct PlannedOutput {
  std::string directory;  // with its final '/'
  int64_t rows = 0;
  std::string key;  // filled by Record
};

struct Plan {
  int64_t id = 0;
  PlanState state = PlanState::kPlanned;
  uint32_t instance = 0;  // of the process that recorded it; in the outputs' names
  int64_t created_ms = 0;
  std::vector<SourceId> sources;  // in the order their rows were gathered
  std::vector<PlannedOutput> outputs;
};

// One instant of the ledger.
struct LedgerView {
  int64_t plan_max = 0;
  uint32_t instance = 0;
  std::set<std::pair<uint32_t, uint32_t>> hidden;  // (instance, plan) not done
  std::set<int64_t> open;                          // the same plans by number alone
  std::vector<size_t> unprocessed;                 // indices into what was asked about

  bool HasDone(int64_t plan_id) const;  // the plan was done at that instant
  // Is the log file to be read, given its key? True for files that carry no tag of ours.
  bool Shows(std::string_view key) const;
};

// Thread-safe.
class RawLedger {
 public:
  // instance: the same for every start on this database, and no other database's on this store.
  static Result<std::unique_ptr<RawLedger>> Open(state::Database& database, uint32_t instance);

  // In one transaction: the plans, and which of the raw files (ascending by key, as listed) no done
  // plan holds. To see each row once: list raw files, then this, then list log files.
  Result<LedgerView> View(std::span<const store::ObjectMeta> raw_files);

  // The same question about raw files listed after the view was taken: plans that were not done in
  // it do not count, whatever has become of them since.
  Result<std::vector<size_t>> Unprocessed(const LedgerView& view,
                                          std::span<const store::ObjectMeta> raw_files);

  Result<SourceState> StateOf(const SourceId& source);
  // Fills in the id, instance and output keys. kConflict: a source is in another plan.
  Status Record(Plan& plan);
  // Plans to be done again, and abandoned ones whose outputs are still to be deleted.
  Result<std::vector<Plan>> Unfinished(size_t plans_max);
  // The plan is done, together with what else the caller does in the transaction. kConflict: it was
  // no longer planned, and nothing was changed.
  Status Finish(const Plan& plan, const std::function<Status(state::Session&)>& also);
  Status Abandon(const Plan& plan);        // its sources are free from now on
  Status ForgetOutputs(const Plan& plan);  // of an abandoned plan, after they were deleted

 private:
  RawLedger(state::Database& database, uint32_t instance)
      : database_(database), instance_(instance) {}
  state::Database& database_;
  const uint32_t instance_;
};

}  // namespace varve::compact
