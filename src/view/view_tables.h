// The rows of the views' tables, and the statements on them that more than one place needs. All
// inside a transaction of the caller's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "state/database.h"
#include "view/refresh_plan.h"
#include "view/view.h"

namespace varve::view {

Status MigrateViews(state::Database& database);

// Those that the rest of the statement selects, with their sources and counts; dropped ones too.
Result<std::vector<View>> SelectViews(state::Session& session, std::string_view rest,
                                      std::span<const state::Value> bound);
Result<std::optional<View>> FindView(state::Session& session, const NamespaceId& tenant,
                                     std::string_view name);
Result<std::optional<View>> FindView(state::Session& session, int64_t id);

Status InsertView(state::Session& session, const ViewRequest& request, int64_t now_ms);
Status ReplaceRequest(state::Session& session, int64_t id, const ViewRequest& request,
                      int64_t now_ms);
Status ReplaceSources(state::Session& session, int64_t id, const NamespaceId& tenant,
                      std::span<const std::string> sources);
Status EraseView(state::Session& session, int64_t id);

// The account of the files in an output. What a refresh has found is staged under its workflow's
// name, and becomes the view's in the transaction that says that its output is there.
Result<Covered> CoveredBy(state::Session& session, int64_t id);
Result<uint64_t> CountCovered(state::Session& session, int64_t id);
Status StageAll(state::Session& session, int64_t id, std::string_view workflow_id,
                const Contents& contents);
Status StageChange(state::Session& session, int64_t id, std::string_view workflow_id,
                   const RefreshPlan& plan);
// all: nothing of the account before stays.
Status ApplyStaged(state::Session& session, int64_t id, std::string_view workflow_id, bool all);
Status DropStaged(state::Session& session, int64_t id);

}  // namespace varve::view
