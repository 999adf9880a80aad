// A workflow that brings whole namespaces of writers' files into tables: windows are compacted one
// after the other, whether they are ready or not, by the same workflows that do it day by day.
//
//   initialize → (publish →) namespace, again and again for each → finalize
//
// It begins with a look at the store: files that were put there a moment ago may not have been
// announced yet.
// A table that there is in another format only is published in the new one first
// (catalog/publication.h): over the same files, and from then on commits go to both. One that
// cannot be is a namespace that fails.
// Then the namespace's target is the new one for good: what its writers add goes there too. Nothing
// else changes for readers: they see table ∪ files, each row once. A namespace that fails is noted,
// and the next one's turn comes; a compaction that has failed waits for its operator, as any does.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "compact/compaction_run.h"
#include "compact/source_discovery.h"
#include "compact/window_report.h"
#include "compact/window_tracker.h"
#include "workflow/engine.h"
#include "workflow/workflow_store.h"

namespace varve::compact {

inline constexpr std::string_view kMigrationKind = "migration";
inline constexpr size_t kMigrationNamespacesMax = 500;

struct MigrationRequest {
  NamespaceId tenant;
  std::string to;                       // a target format
  std::vector<std::string> namespaces;  // of data; empty: all that are known
  std::optional<bool> delete_sources;   // the namespaces' own: false at once; nothing: as before
};
// kInvalid, INVALID_FIELD or TOO_MANY_NAMESPACES.
Result<MigrationRequest> ReadMigrationRequest(const NamespaceId& tenant, std::string_view json);
std::string ToJson(const MigrationRequest& request);
Result<MigrationRequest> ParseMigrationRequest(std::string_view json);  // kCorrupt

struct MigratedNamespace {
  std::string ns;
  std::string status = "pending";  // running, completed, skipped, failed
  std::string error;
  uint64_t files = 0, bytes = 0, rows = 0;
  uint64_t quarantined = 0;  // files of the namespace that are not in the table
  bool published = false;    // its table has got a further format
  std::string last;          // compaction that was there when all that waited had one
  std::string waits_for;     // a lease, and until when; empty: nothing
};

struct MigrationState {
  std::vector<MigratedNamespace> namespaces;
  size_t current = 0;         // whose turn it is
  int64_t discovered_ms = 0;  // the windows know by then what the store had when it was made
};
std::string ToJson(const MigrationState& state);
Result<MigrationState> ParseMigrationState(std::string_view json);  // kCorrupt

// Makes the workflow, if none of the tenant's is under way: kConflict, ALREADY_RUNNING, with its id
// in the details.
Result<std::string> StartMigration(workflow::WorkflowStore& workflows,
                                   const MigrationRequest& request);

class MigrationWorkflow : public workflow::Definition {
 public:
  // start makes compactions; started wakes who runs them. All are borrowed.
  MigrationWorkflow(SourcePlace place, WindowTracker& windows, workflow::WorkflowStore& workflows,
                    TablesOf tables, StartWorkflow start, std::function<void()> started)
      : place_(std::move(place)),
        windows_(windows),
        workflows_(workflows),
        tables_(std::move(tables)),
        start_(std::move(start)),
        started_(std::move(started)) {}

  std::string_view kind() const override { return kMigrationKind; }
  std::string_view first_step() const override { return "initialize"; }
  Result<workflow::Next> Run(std::string_view step, workflow::StepRun& run) override;
  // Compactions that are under way end by themselves, and a format that is there already stays.
  Status Undo(std::string_view step, workflow::StepRun& run) override;

 private:
  Result<workflow::Next> Initialize(const MigrationRequest& request, int64_t since_ms,
                                    MigrationState& state);
  Result<workflow::Next> GoOn(const MigrationRequest& request, int64_t since_ms,
                              MigrationState& state);
  Result<workflow::Next> Publish(const MigrationRequest& request, const std::stop_token& stop,
                                 MigrationState& state);
  Result<bool> LacksFormat(const MigrationRequest& request, const MigratedNamespace& migrated);
  Result<std::vector<std::string>> Known(const MigrationRequest& request);
  Status Keep(const MigrationRequest& request, const std::string& ns);
  Result<NamespaceStatus> CountsOf(const MigrationRequest& request, const std::string& ns);
  Result<std::string> WhatHolds(const MigrationRequest& request, const MigratedNamespace& migrated);
  Status CheckKnown(const MigrationRequest& request, const std::string& ns);
  Status Begin(const MigrationRequest& request, MigratedNamespace& migrated);
  Result<bool> DispatchMore(const MigrationRequest& request, int64_t discovered_ms,
                            const MigratedNamespace& migrated);
  Result<std::string> NewestCompaction();
  Result<std::optional<workflow::Workflow>> Unfinished(const MigrationRequest& request,
                                                       const MigratedNamespace& migrated,
                                                       workflow::WorkflowState state);
  Status AddUp(const MigrationRequest& request, int64_t since_ms, MigratedNamespace& migrated);

  const SourcePlace place_;
  WindowTracker& windows_;
  workflow::WorkflowStore& workflows_;
  const TablesOf tables_;
  const StartWorkflow start_;
  const std::function<void()> started_;
};

}  // namespace varve::compact
