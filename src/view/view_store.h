// The views of a state database: what they are, what has changed for them, whose refresh is under
// way, and what their outputs have. One refresh at a time for a view:
//
// 1. Note remembers a change and when it came, in the transaction that acks its message.
// 2. Dispatch makes the workflow of a view that is due and gives it the view, in one transaction.
// 3. Begin, at its first step: the changes that wait are its own now; what comes from then on waits
//    for the next one.
// 4. Publish, once the new output is there: the output, its account of files and the view's being
//    free again are one transaction. Its changes are forgotten.
// 5. Release, of a refresh that has failed or was cancelled: its changes wait again, longer with
//    each failure.
//
// All state is in the tables. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "state/database.h"
#include "view/refresh_plan.h"
#include "view/view.h"
#include "workflow/workflow_store.h"

namespace varve::view {

inline constexpr const char* kRefreshKind = "view-refresh";
inline constexpr const char* kRefreshFirstStep = "plan";

struct StoreOptions {
  uint64_t views_max = 1'000;    // of all tenants
  uint32_t changes_max = 1'000;  // files remembered for a view; the rest only make it due
  uint64_t retry_ms = 10'000;    // after a failure; doubles with each in a row
  uint64_t retry_ms_max = 600'000;
};

// A writer's file of a lake table that has come or gone.
struct Change {
  NamespaceId tenant;
  std::string source;
  std::string key, etag;
};

struct RefreshParams {
  int64_t view_id = 0;
  bool full = false;  // whatever the view's own way is
};
std::string ToJson(const RefreshParams& params);
Result<RefreshParams> ParseRefreshParams(std::string_view json);  // kCorrupt

class ViewStore {
 public:
  // Both are borrowed.
  static Result<std::unique_ptr<ViewStore>> Open(StoreOptions options, state::Database& database,
                                                 const Clock& clock);

  // Makes the view or replaces it; it is due at once unless it is refreshed by hand. kConflict,
  // VIEW_BUSY: one of that name is being dropped. kExhausted, VIEWS_MAX.
  Result<View> Register(const ViewRequest& request, std::span<const std::string> sources);
  // kNotFound, VIEW_NOT_FOUND; also while it is being dropped.
  Result<View> Get(const NamespaceId& tenant, std::string_view name);
  Result<std::optional<View>> GetById(int64_t id);
  Result<std::vector<View>> List(const NamespaceId* tenant);  // null: all; by tenant and name
  Status Drop(const NamespaceId& tenant, std::string_view name);

  // How many views it is a change for.
  Result<uint64_t> Note(state::Session& session, std::span<const Change> changes);

  // Makes refreshes of the views that are due; their ids.
  Result<std::vector<std::string>> Dispatch(workflow::WorkflowStore& workflows);
  std::optional<int64_t> NextDue();  // nothing where nothing waits, or it cannot be read
  // Of one view, now: the workflow's id. kConflict, ALREADY_RUNNING, with its id in the details.
  Result<std::string> Refresh(workflow::WorkflowStore& workflows, const NamespaceId& tenant,
                              std::string_view name, bool full);

  // A refresh's own. kConflict, REFRESH_SUPERSEDED: the view is no longer the workflow's.
  Status Begin(state::Session& session, int64_t view_id, std::string_view workflow_id);
  // revision: that was refreshed; false: it is another one now, and nothing was written.
  Result<bool> Publish(state::Session& session, int64_t view_id, int64_t revision,
                       const Output& output);
  // There was nothing new; the account is brought up to date all the same.
  Status Keep(state::Session& session, int64_t view_id, std::string_view workflow_id);
  Status Release(state::Session& session, int64_t view_id, std::string_view workflow_id,
                 const Error& why);
  Result<Covered> CoveredOf(int64_t view_id);

  // Outputs that were replaced, oldest first: workflow id, when.
  struct Generation {
    std::string workflow_id;
    int64_t replaced_ms = 0;
  };
  Result<std::vector<Generation>> Replaced(int64_t view_id);
  Status Forget(int64_t view_id, std::string_view workflow_id);

  // For whoever looks after them: views with a refresh, views that are being dropped.
  Result<std::vector<View>> Refreshing();
  Result<std::vector<View>> Dropping();
  Status Erase(int64_t view_id);

  state::Database& database() { return database_; }
  const Clock& clock() const { return clock_; }

 private:
  ViewStore(StoreOptions options, state::Database& database, const Clock& clock)
      : options_(options), database_(database), clock_(clock) {}
  Status NoteOne(state::Session& session, View& view, const Change& change);
  Result<std::string> Make(state::Session& session, workflow::WorkflowStore& workflows,
                           const View& view, bool full);
  Result<std::vector<View>> Select(std::string_view rest, std::span<const state::Value> bound);
  Result<View> Owned(state::Session& session, int64_t view_id, std::string_view workflow_id);
  Status Free(state::Session& session, int64_t view_id, std::string_view workflow_id);

  const StoreOptions options_;
  state::Database& database_;
  const Clock& clock_;
};

}  // namespace varve::view
