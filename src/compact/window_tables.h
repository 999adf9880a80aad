// The rows of the windows' tables, and the statements on them that more than one place needs. All
// inside a transaction of the caller's.
//
// A source is in the pending round of its window while its state is pending, and in the round that
// has its workflow's id while it is taken; so a round needs no list of its own.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "compact/compaction.h"
#include "compact/window_settings.h"
#include "compact/window_state.h"
#include "state/database.h"

namespace varve::compact {

Status MigrateWindows(state::Database& database);

struct NamespaceRow {
  int64_t id = 0;
  NamespaceId tenant;
  std::string ns;
  NamespaceOverrides overrides;
  std::string Label() const;  // "users", or "acme:users" of a tenant
};

struct WriterRow {
  std::string writer;
  int64_t last_seen_ms = 0;  // by arrival
  int64_t ahead_ms = 0;      // of its last file's time before its arrival
  int64_t files = 0;
};

// What came into a window or left it, to be written once a batch.
struct WindowDelta {
  void Lose(int64_t file_bytes, int64_t at_ms) {
    --files;
    bytes -= file_bytes;
    now_ms = at_ms;
  }

  int64_t files = 0, bytes = 0;
  int64_t added = 0;  // arrivals among the files
  int64_t now_ms = 0;
  int64_t not_before_ms = 0;
  std::set<std::string> writers;  // of the arrivals
};
using WindowDeltas = std::map<std::pair<int64_t, int64_t>, WindowDelta>;  // ns id, start

Result<std::optional<NamespaceRow>> FindNamespace(state::Session& session,
                                                  const NamespaceId& tenant, std::string_view ns);
Result<NamespaceRow> MakeNamespace(state::Session& session, const NamespaceId& tenant,
                                   std::string_view ns);
Result<NamespaceRow> GetNamespace(state::Session& session, int64_t id);
// Those of a tenant, or all; ns empty: all of them. By tenant and name.
Result<std::vector<NamespaceRow>> ListNamespaces(state::Session& session, const NamespaceId* tenant,
                                                 std::string_view ns, size_t rows_max);
Result<std::vector<WriterRow>> WritersOf(state::Session& session, int64_t ns_id, size_t rows_max);
Result<std::vector<std::string>> MembersOf(state::Session& session, const Window& window,
                                           size_t rows_max);

// Rounds in any state, oldest window first.
Result<std::vector<Window>> ListWindows(state::Session& session, int64_t ns_id, size_t rows_max);
// Pending rounds of all namespaces that end by now_ms, or lie further ahead than future_ms.
Result<std::vector<Window>> PendingUpTo(state::Session& session, int64_t now_ms,
                                        uint64_t future_ms);
Result<std::vector<Window>> DispatchedWindows(state::Session& session);
Result<std::optional<Window>> FindPending(state::Session& session, int64_t ns_id, int64_t start_ms);
Result<std::optional<Window>> FindByWorkflow(state::Session& session, std::string_view workflow_id);
Status UpdateWindow(state::Session& session, const Window& window);
Status DeleteWindow(state::Session& session, const Window& window);
// A further pending round of a window that has none.
Result<Window> AddRound(state::Session& session, int64_t ns_id, int64_t start_ms, int64_t now_ms);

// Adds to the pending rounds, makes those that are missing, deletes those that are empty. How many
// arrivals were late: another round of their window had been dispatched.
Result<uint64_t> ApplyDeltas(state::Session& session, const WindowDeltas& deltas,
                             uint64_t window_size_ms);

}  // namespace varve::compact
