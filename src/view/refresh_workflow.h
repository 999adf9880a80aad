// A view's refresh: a workflow whose every step may run again after a crash at any point of it.
//
//   plan → run → publish → done
//
// 1. plan: the view's changes are the refresh's own. Old generations go; where too many are still
//    within their readers' time, it waits.
// 2. run: over one snapshot, into a file of this machine, which becomes an object of its own, the
//    generation. What it has of the lake is staged in the transaction that ends the step, with the
//    object's ETag. A crash in between leaves an object that the next attempt puts again.
// 3. publish: where `data.parquet` has not that ETag, it is put, whole, in one put. One transaction
//    says that the output is there and what it has. A crash in between is found out by the ETag.
//    A view whose statement was replaced meanwhile begins again at plan.
// 4. done: whoever waits for a free view is woken.
//
// SQL reads generations: the exact bytes that its snapshot named, also while `data.parquet` is
// replaced. They are kept for keep_ms after that.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "store/object_store.h"
#include "view/view_data.h"
#include "view/view_store.h"
#include "workflow/engine.h"

namespace varve::view {

struct RefreshOptions {
  std::string work_directory;            // of this machine; ours alone
  uint64_t keep_ms = 90'000;             // of a replaced generation: longer than any query
  uint32_t generations_max = 100;        // kept at once; then a refresh waits
  uint32_t incremental_files = 10;       // more new files are a full refresh
  uint64_t account_files_max = 200'000;  // of an output; with more it is no base
};

class RefreshWorkflow : public workflow::Definition {
 public:
  // All are borrowed. freed: a view is free again.
  RefreshWorkflow(RefreshOptions options, ViewStore& views, ViewData& data,
                  store::ObjectStore& store, std::function<void()> freed);

  std::string_view kind() const override { return kRefreshKind; }
  std::string_view first_step() const override { return kRefreshFirstStep; }
  Result<workflow::Next> Run(std::string_view step, workflow::StepRun& run) override;
  Status Undo(std::string_view step, workflow::StepRun& run) override;

  // Makes the work directory, empty: before the engine starts.
  Status SweepWork();

 private:
  Result<View> OwnView(const workflow::StepRun& run) const;
  std::string WorkPath(const workflow::StepRun& run) const;
  Result<workflow::Next> Plan(workflow::StepRun& run);
  Result<workflow::Next> RunStatement(workflow::StepRun& run);
  Result<workflow::Next> Publish(workflow::StepRun& run);
  Result<workflow::Next> Done(workflow::StepRun& run);
  // How long until a generation may be replaced; 0: now.
  Result<uint64_t> CleanUp(const View& view);
  Result<RefreshPlan> Decide(const View& view, ViewInput& input, bool full);
  Result<bool> IsBase(const View& view);
  Status PutOutput(const View& view, const std::string& generation, const std::string& etag,
                   const std::string& copy);

  const RefreshOptions options_;
  ViewStore& views_;
  ViewData& data_;
  store::ObjectStore& store_;
  const std::function<void()> freed_;
};

}  // namespace varve::view
