// Workflows and their steps in the relational state. Every call is one transaction.
//
// An engine takes a workflow under its epoch, a number that each new engine draws one higher, and
// only that epoch may write what became of the step. So a process that was thought dead and comes
// back writes nothing, by order and not by clock.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "state/database.h"
#include "workflow/workflow.h"

namespace varve::workflow {

struct ListFilter {
  std::string kind = {};                    // empty: all
  std::optional<WorkflowState> state = {};  // none: all
  std::string before = {};                  // ids below it only: the last one of the page before
  uint32_t rows_max = 100;                  // 1 to 1000
};

struct WorkflowCounts {
  uint64_t active = 0, paused = 0, succeeded = 0, failed = 0, cancelled = 0;
};

class WorkflowStore {
 public:
  // The database is borrowed and outlives the store. ended_max: ended workflows of a kind that are
  // kept; the oldest go first, failed ones last of all.
  static Result<std::unique_ptr<WorkflowStore>> Open(state::Database& database, const Clock& clock,
                                                     Random& random, uint64_t ended_max = 10'000);

  // Inside a transaction of the caller's, so that what starts a workflow and the workflow are one.
  // The id; first_step is where it begins.
  Result<std::string> Create(state::Session& session, std::string_view kind,
                             std::string_view subject, std::string_view params_json,
                             std::string_view first_step);
  Result<std::string> Create(std::string_view kind, std::string_view subject,
                             std::string_view params_json, std::string_view first_step);

  Result<Workflow> Get(std::string_view id);  // kNotFound, WORKFLOW_NOT_FOUND
  Result<std::vector<StepRecord>> Steps(std::string_view id);
  Result<std::vector<Workflow>> List(const ListFilter& filter);  // newest first
  Result<WorkflowCounts> Counts();

  // An operator's wish; what Apply says of it.
  Result<Workflow> Operate(std::string_view id, Operation operation);

  Result<int64_t> NewEpoch();
  // The due workflow that has waited longest, now held by the epoch; none is not an error.
  Result<std::optional<Workflow>> Take(int64_t epoch);
  // When the next one is due; none: nothing waits.
  Result<std::optional<int64_t>> NextDue(int64_t epoch);

  // Shows a taken workflow's step while it runs. Nothing is written for another epoch's.
  Status Report(int64_t epoch, const Workflow& taken, const StepRecord& step);
  // What became of a taken workflow's step. What an operator wished meanwhile stands, unless the
  // workflow has ended. `with_end` runs in the same transaction. kConflict, WORKFLOW_LOST: another
  // epoch has it now, nothing was written.
  Status Save(int64_t epoch, const Workflow& taken, Workflow after, const StepRecord& step,
              const std::function<Status(state::Session&)>& with_end = {});

 private:
  WorkflowStore(state::Database& database, const Clock& clock, Random& random, uint64_t ended_max)
      : database_(database), clock_(clock), random_(random), ended_max_(ended_max) {}
  Status Prune(state::Session& session, const std::string& kind);

  state::Database& database_;
  const Clock& clock_;
  Random& random_;
  const uint64_t ended_max_;
};

}  // namespace varve::workflow
