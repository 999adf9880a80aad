#include "compact/compaction_workflow.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "compact/compaction_commit.h"
#include "compact/compaction_merge.h"
#include "compact/compaction_plan.h"
#include "compact/compaction_request.h"
#include "compact/compaction_seal.h"
#include "compact/compaction_sources.h"
#include "core/crash_point.h"

namespace varve::compact {
namespace {

using workflow::Next;
using workflow::StepRun;

const CrashPoint kStepDone{"compaction.step_done"};
const CrashPoint kUndone{"compaction.undone"};

constexpr std::string_view kPlan = kCompactionFirstStep;
constexpr std::string_view kMerge = "merge";
constexpr std::string_view kSeal = "seal";
constexpr std::string_view kCommit = "commit";
constexpr std::string_view kVerify = "verify";
constexpr std::string_view kLate = "commit-late";

Next To(std::string_view step, uint64_t after_ms = 0) { return Next{std::string(step), after_ms}; }

}  // namespace

std::string_view CompactionWorkflow::kind() const { return kCompactionKind; }

std::string_view CompactionWorkflow::first_step() const { return kPlan; }

Result<Next> CompactionWorkflow::Run(std::string_view step, StepRun& step_run) {
  const CompactionRequest request = TRY(ParseCompactionRequest(step_run.workflow.params_json));
  CompactionState state = TRY(ParseCompactionState(step_run.data_json));
  CompactionRun run{request, options_, store_, tables_(request.tenant), step_run, state};
  const Next next = TRY(RunStep(step, run));
  kStepDone.Hit();
  step_run.data_json = ToJson(state);
  return next;
}

Result<Next> CompactionWorkflow::RunStep(std::string_view step, CompactionRun& run) {
  if (step == kPlan) return Plan(run);
  if (step == kMerge) return Merge(run);
  if (step == kSeal) return Seal(run);
  if (step == kCommit) return Commit(run);
  if (step == kVerify) return Verify(run);
  if (step == kLate) {
    TRY(CommitLate(run));
    return To(kVerify);
  }
  if (step == kDeletionStep) {
    if (account_ != nullptr && TRY(account_->KeepsSources(run.request.tenant, run.request.ns))) {
      run.step.detail_json = R"({"kept":"the namespace keeps its sources by now"})";
      return End(run);
    }
    TRY(DeleteSources(run));
    return End(run);
  }
  return MakeError(ErrorKind::kInvalid, "WORKFLOW_STEP",
                   fmt::format("a compaction has no step '{}'", step));
}

Result<Next> CompactionWorkflow::Plan(CompactionRun& run) {
  // What others did to the table is built upon.
  if (run.to_table()) TRY(run.tables.Level(TRY(TableNameOf(run.request.ns))));
  TRY(PlanCompaction(run));
  run.step.detail_json = PlanDetail(run.request, run.state);
  return To(run.state.batches.empty() ? kCommit : kMerge);
}

Result<Next> CompactionWorkflow::Merge(CompactionRun& run) {
  if (run.state.batches_done < run.state.batches.size()) {
    auto detail = MergeNextBatch(run);
    if (!detail.ok() && detail.error().code == "ROWS_DIFFER" &&
        run.state.plans < run.options.plans_max) {
      return PlanAgain(run, detail.error().message);
    }
    run.step.detail_json = TRY(std::move(detail));
  }
  return To(run.state.batches_done < run.state.batches.size() ? kMerge : kSeal);
}

Result<Next> CompactionWorkflow::Seal(CompactionRun& run) {
  if (TRY(SealOutputs(run)) == Sealed::kLost) {
    run.step.detail_json = R"({"lost":"merged files are gone; they are merged again"})";
    return To(kMerge);
  }
  TRY(FindRemoved(run));
  uint64_t bytes = 0;
  for (const CompactionOutput& output : run.state.outputs) bytes += output.bytes;
  run.step.detail_json =
      nlohmann::ordered_json(
          {{"files", run.state.outputs.size()}, {"bytes", bytes}, {"rows", run.state.rows_made()}})
          .dump();
  return To(kCommit);
}

Result<Next> CompactionWorkflow::Commit(CompactionRun& run) {
  if (run.to_table() && !run.state.outputs.empty()) {
    if (TRY(CommitOutputs(run)) == Committed::kSuperseded) {
      return PlanAgain(run, "another commit has changed the table");
    }
  }
  if (account_ != nullptr) {
    run.step.with_end = [this, id = run.id(),
                         outcomes = OutcomesOf(run.request, run.state)](state::Session& session) {
      return account_->Settle(session, id, outcomes);
    };
  }
  return To(kVerify);
}

// A source that the table had and has no longer was taken by somebody else, with its rows.
Result<Next> CompactionWorkflow::PlanAgain(CompactionRun& run, std::string why) {
  if (run.state.plans >= run.options.plans_max) {
    return MakeError(ErrorKind::kConflict, "TOO_MANY_PLANS",
                     fmt::format("planned {} times: {}", run.state.plans, why));
  }
  const std::vector<uint32_t> removed = run.state.removed;
  TRY(FindRemoved(run));
  for (const uint32_t source : removed) {
    const auto& live = run.state.removed;
    if (std::find(live.begin(), live.end(), source) != live.end()) continue;
    run.state.sources[source].state = SourceFate::kChanged;
    run.state.sources[source].why = "another commit has taken it out of the table";
  }
  run.state.removed.clear();
  TRY(RemoveOutputs(run));
  run.step.detail_json = nlohmann::ordered_json({{"plannedAgain", why}}).dump();
  return To(kPlan);
}

Result<Next> CompactionWorkflow::Verify(CompactionRun& run) {
  TRY(VerifyCommit(run));
  if (!run.state.late.empty()) return To(kLate);
  const size_t taken = run.state.CountOf(SourceFate::kTaken);
  run.step.detail_json =
      nlohmann::ordered_json({{"files", run.state.outputs.size()}, {"rows", run.state.rows_made()}})
          .dump();
  TRY(FindContents(run));
  const bool ends = !run.request.settings.delete_sources || taken == 0;
  const Next next = ends ? TRY(End(run)) : To(kDeletionStep, run.request.settings.grace_ms);
  Remember(run);
  return next;
}

// In the transaction that ends the step, with what else is told there.
void CompactionWorkflow::Remember(CompactionRun& run) {
  auto contents = ContentsOf(run.request, run.state);
  if (account_ == nullptr || contents.empty()) return;
  run.step.with_end = [this, id = run.id(), contents = std::move(contents),
                       also = run.step.with_end](state::Session& session) -> Status {
    TRY(account_->Remember(session, id, contents));
    return also ? also(session) : Status();
  };
}

Result<Next> CompactionWorkflow::End(CompactionRun& run) {
  RemoveWorkFiles(run);
  if (account_ != nullptr) {
    run.step.with_end = [this, id = run.id()](state::Session& session) {
      return account_->End(session, id);
    };
  }
  return Next{};
}

Status CompactionWorkflow::Undo(std::string_view step, StepRun& step_run) {
  if (step == kVerify || step == kLate || step == kDeletionStep) {
    return MakeError(ErrorKind::kConflict, "ALREADY_COMMITTED",
                     "the compaction is committed; it ends by itself");
  }
  const CompactionRequest request = TRY(ParseCompactionRequest(step_run.workflow.params_json));
  CompactionState state = TRY(ParseCompactionState(step_run.data_json));
  CompactionRun run{request, options_, store_, tables_(request.tenant), step_run, state};
  if (step == kCommit) TRY(FenceCommit(run));
  TRY(RemoveOutputs(run));
  kUndone.Hit();
  step_run.data_json = ToJson(state);
  TRY(End(run));
  return {};
}

Status CompactionWorkflow::SweepWork(workflow::WorkflowStore& workflows) const {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::create_directories(options_.work_directory, error);
  if (error) return ErrnoError(error.value(), "make " + options_.work_directory);
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(options_.work_directory, error)) {
    found.push_back(entry.path());
  }
  for (const fs::path& path : found) {
    const auto workflow = workflows.Get(path.filename().string());
    if (!workflow.ok() && workflow.error().kind != ErrorKind::kNotFound) return workflow.error();
    const bool goes_on = workflow.ok() && (!workflow::HasEnded(workflow->state) ||
                                           workflow->state == workflow::WorkflowState::kFailed);
    if (!goes_on) fs::remove_all(path, error);
  }
  return {};
}

}  // namespace varve::compact
