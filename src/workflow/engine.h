// Runs workflows: takes what is due, runs one step of it, saves what became of it, takes the next.
//
// 1. A step may run again after a crash, at any point of it: it looks at what is there, then acts.
// 2. A step that fails is tried again with a pause that doubles, attempts_max times; errors that no
//    repetition mends (kInvalid, kForbidden, kCorrupt) end the workflow at once, as failed.
// 3. A cancelled workflow is undone by its definition: one that can no longer be undone says
//    kConflict and goes on as if nobody had asked.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "workflow/workflow.h"
#include "workflow/workflow_store.h"

namespace varve::workflow {

// What a step is given, and what it leaves.
struct StepRun {
  const Workflow& workflow;
  std::string data_json;  // the workflow's; what the step makes of it is saved with its end
  std::string detail_json = "{}";  // shown with the step
  std::stop_token stop;            // long work looks at it and ends with kCancelled
  // Shows the detail of a step that is still running; cheap enough to be called often.
  std::function<void(const std::string& detail_json)> report = {};
  // Runs in the transaction that saves the step's end.
  std::function<Status(state::Session&)> with_end = {};
};

struct Next {
  std::string step;       // empty: the workflow has succeeded
  uint64_t after_ms = 0;  // a pause before it
};

class Definition {
 public:
  virtual ~Definition() = default;
  virtual std::string_view kind() const = 0;
  virtual std::string_view first_step() const = 0;
  virtual Result<Next> Run(std::string_view step, StepRun& run) = 0;
  // Leaves nothing behind of a workflow whose next step would be `step`. Also tried again.
  virtual Status Undo(std::string_view step, StepRun& run) = 0;
};

struct EngineOptions {
  uint32_t threads = 1;
  uint32_t attempts_max = 10;
  uint64_t retry_min_ms = 1'000;
  uint64_t retry_max_ms = 300'000;
  uint64_t report_ms = 1'000;  // between two times that a running step's detail is saved
};

class Engine {
 public:
  // All are borrowed and outlive the engine. Draws a new epoch: an earlier engine's workflows are
  // this one's from here on.
  static Result<std::unique_ptr<Engine>> Open(EngineOptions options, WorkflowStore& store,
                                              std::vector<Definition*> definitions,
                                              const Clock& clock);
  ~Engine();

  void Start();
  void Stop();  // steps that run are asked to end, and waited for
  void Wake();  // a workflow was made, or an operator wished something

  // One step of one due workflow on the caller's thread; false: nothing is due.
  Result<bool> RunOnce(std::stop_token stop = {});

 private:
  Engine(EngineOptions options, WorkflowStore& store, std::vector<Definition*> definitions,
         const Clock& clock, int64_t epoch);
  Definition* DefinitionOf(const Workflow& workflow) const;
  Result<Next> RunOrUndo(StepRun& run) const;
  Status RunStep(Workflow workflow, std::stop_token stop);
  void Report(const Workflow& workflow, const StepRecord& record, int64_t& reported_ms);
  void Fail(Workflow& workflow, const Error& error) const;
  void Loop(std::stop_token stop);

  const EngineOptions options_;
  WorkflowStore& store_;
  const std::vector<Definition*> definitions_;
  const Clock& clock_;
  const int64_t epoch_;

  std::mutex mutex_;
  std::condition_variable_any wake_;
  uint64_t woken_ = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace varve::workflow
