#include "workflow/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "core/crash_point.h"
#include "core/log.h"

namespace varve::workflow {
namespace {

const CrashPoint kBeforeStep{"workflow.before_step"};
const CrashPoint kAfterStep{"workflow.after_step"};
const CrashPoint kAfterSave{"workflow.after_save"};

constexpr uint64_t kLookMs = 1'000;  // at the clock, while something waits for its time

bool IsFinal(ErrorKind kind) {
  return kind == ErrorKind::kInvalid || kind == ErrorKind::kForbidden ||
         kind == ErrorKind::kCorrupt;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Open(EngineOptions options, WorkflowStore& store,
                                             std::vector<Definition*> definitions,
                                             const Clock& clock) {
  const int64_t epoch = TRY(store.NewEpoch());
  return std::unique_ptr<Engine>(new Engine(options, store, std::move(definitions), clock, epoch));
}

Engine::Engine(EngineOptions options, WorkflowStore& store, std::vector<Definition*> definitions,
               const Clock& clock, int64_t epoch)
    : options_(options),
      store_(store),
      definitions_(std::move(definitions)),
      clock_(clock),
      epoch_(epoch) {}

Engine::~Engine() { Stop(); }

void Engine::Start() {
  for (uint32_t i = 0; i < options_.threads; ++i) {
    threads_.emplace_back([this](std::stop_token stop) { Loop(std::move(stop)); });
  }
}

void Engine::Stop() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

void Engine::Wake() {
  {
    const std::lock_guard lock(mutex_);
    ++woken_;
  }
  wake_.notify_all();
}

Definition* Engine::DefinitionOf(const Workflow& workflow) const {
  for (Definition* definition : definitions_) {
    if (definition->kind() == workflow.kind) return definition;
  }
  return nullptr;
}

// Sets what a failed attempt leads to.
void Engine::Fail(Workflow& workflow, const Error& error) const {
  workflow.error = error.message;
  workflow.error_code = error.code.empty() ? std::string(ToString(error.kind)) : error.code;
  ++workflow.attempts;
  const bool failed = IsFinal(error.kind) || workflow.attempts >= options_.attempts_max;
  LogWarn(failed ? "workflow.failed" : "workflow.step_failed", {{"id", workflow.id},
                                                                {"kind", workflow.kind},
                                                                {"subject", workflow.subject},
                                                                {"step", workflow.step},
                                                                {"attempts", workflow.attempts},
                                                                {"error", workflow.error}});
  if (failed) {
    workflow.state = WorkflowState::kFailed;
    workflow.ended_ms = clock_.NowMs();
    return;
  }
  const uint32_t doublings = std::min(workflow.attempts - 1, 30u);
  const uint64_t pause = std::min(options_.retry_max_ms, options_.retry_min_ms << doublings);
  workflow.next_ms = clock_.NowMs() + static_cast<int64_t>(pause);
}

Result<Next> Engine::RunOrUndo(StepRun& run) const {
  const Workflow& workflow = run.workflow;
  Definition* definition = DefinitionOf(workflow);
  if (definition == nullptr) {
    return MakeError(ErrorKind::kInvalid, "WORKFLOW_KIND",
                     fmt::format("no workflow kind is called '{}'", workflow.kind));
  }
  if (workflow.state != WorkflowState::kCancelling) return definition->Run(workflow.step, run);
  TRY(definition->Undo(workflow.step, run));
  return Next{};
}

// For whoever looks; a step is not ended by what could not be shown of it.
void Engine::Report(const Workflow& workflow, const StepRecord& record, int64_t& reported_ms) {
  reported_ms = clock_.NowMs();
  const Status shown = store_.Report(epoch_, workflow, record);
  if (!shown.ok()) LogWarn("workflow.not_shown", {{"error", shown.error().message}});
}

Status Engine::RunStep(Workflow workflow, std::stop_token stop) {
  const bool undo = workflow.state == WorkflowState::kCancelling;
  StepRecord record{.step = undo ? "cancel" : workflow.step,
                    .started_ms = clock_.NowMs(),
                    .attempts = workflow.attempts + 1};
  StepRun run{.workflow = workflow, .data_json = workflow.data_json, .stop = stop};
  int64_t reported_ms = record.started_ms;
  Report(workflow, record, reported_ms);
  run.report = [&](const std::string& detail_json) {
    if (clock_.NowMs() < reported_ms + static_cast<int64_t>(options_.report_ms)) return;
    record.detail_json = detail_json;
    Report(workflow, record, reported_ms);
  };
  kBeforeStep.Hit();
  const Result<Next> next = RunOrUndo(run);
  kAfterStep.Hit();
  Workflow after = workflow;
  after.data_json = run.data_json;
  record.detail_json = run.detail_json;
  if (next.ok()) {
    record.ended_ms = clock_.NowMs();
    after.attempts = 0;
    after.error.clear();
    after.error_code.clear();
    after.next_ms = record.ended_ms + static_cast<int64_t>(next->after_ms);
    if (next->step.empty()) {
      after.state = undo ? WorkflowState::kCancelled : WorkflowState::kSucceeded;
      after.ended_ms = record.ended_ms;
    } else {
      after.step = next->step;
    }
  } else if (undo && next.error().kind == ErrorKind::kConflict) {
    record.ended_ms = clock_.NowMs();
    record.error = next.error().message;
    after.state = WorkflowState::kActive;
  } else if (stop.stop_requested()) {
    after.next_ms = clock_.NowMs();  // an attempt that was interrupted is none
  } else {
    record.error = next.error().message;
    Fail(after, next.error());
    if (HasEnded(after.state)) record.ended_ms = after.ended_ms;
  }
  const Status saved =
      store_.Save(epoch_, workflow, std::move(after), record, next.ok() ? run.with_end : nullptr);
  kAfterSave.Hit();
  return saved;
}

Result<bool> Engine::RunOnce(std::stop_token stop) {
  std::optional<Workflow> taken = TRY(store_.Take(epoch_));
  if (!taken) return false;
  TRY(RunStep(std::move(*taken), std::move(stop)));
  return true;
}

void Engine::Loop(std::stop_token stop) {
  while (!stop.stop_requested()) {
    uint64_t woken = 0;
    {
      const std::lock_guard lock(mutex_);
      woken = woken_;
    }
    const Result<bool> ran = RunOnce(stop);
    if (ran.ok() && *ran) continue;
    if (!ran.ok()) LogWarn("workflow.not_saved", {{"error", ran.error().message}});
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stop, std::chrono::milliseconds(kLookMs), [&] { return woken_ != woken; });
  }
}

}  // namespace varve::workflow
