// A workflow that merges the files of a window and commits the result.
//
//   plan → merge, once a batch → seal → commit → verify → grace → delete
//
//  1. Nothing is visible before the commit, and nothing is deleted before it is verified and the
//     grace is over. A source goes only while it has the bytes that were taken.
//  2. Names and ids are chosen before they are used, so that every step finds what an earlier
//     attempt at it has done.
//  3. The sources' end is told in the transaction that ends the commit step (SourceAccount).
//  4. Another commit that takes a source out of the table meanwhile sends it back to the plan.
//  5. Cancelled before the commit: it is fenced, so that no late answer can still do it, and what
//     was made is removed. After it: kConflict, and the workflow goes on.
// Plain files have no commit: they are visible from the seal on, and a reader that lists folders
// sees their rows twice until the sources are deleted.
//
// Thread-safe: several workflows may run at once, on one table too.
#pragma once

#include "compact/compaction_run.h"

namespace varve::compact {

// The last step. Before it the workflow waits for the grace; what it made is committed.
inline constexpr std::string_view kDeletionStep = "delete";

class CompactionWorkflow : public workflow::Definition {
 public:
  // account may be null. All are borrowed, and outlive the definition.
  CompactionWorkflow(CompactionOptions options, store::ObjectStore& store, TablesOf tables,
                     SourceAccount* account)
      : options_(std::move(options)),
        store_(store),
        tables_(std::move(tables)),
        account_(account) {}

  std::string_view kind() const override;
  std::string_view first_step() const override;
  Result<workflow::Next> Run(std::string_view step, workflow::StepRun& run) override;
  Status Undo(std::string_view step, workflow::StepRun& run) override;

  // Files in the work directory of workflows that are gone or have ended.
  Status SweepWork(workflow::WorkflowStore& workflows) const;

 private:
  Result<workflow::Next> RunStep(std::string_view step, CompactionRun& run);
  Result<workflow::Next> Plan(CompactionRun& run);
  Result<workflow::Next> Merge(CompactionRun& run);
  Result<workflow::Next> Seal(CompactionRun& run);
  Result<workflow::Next> Commit(CompactionRun& run);
  Result<workflow::Next> Verify(CompactionRun& run);
  void Remember(CompactionRun& run);
  Result<workflow::Next> End(CompactionRun& run);
  Result<workflow::Next> PlanAgain(CompactionRun& run, std::string why);

  const CompactionOptions options_;
  store::ObjectStore& store_;
  const TablesOf tables_;
  SourceAccount* const account_;
};

}  // namespace varve::compact
