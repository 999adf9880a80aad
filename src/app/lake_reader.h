// Lake tables as a query sees them: the files of one snapshot, and the writers' files that it does
// not have yet. Each row once, at any moment, because of the order in which the parts are taken:
//
// 1. The writers' files are listed. 2. How they stand (view 0). 3. The table's files. 4. How they
// stand now (view 1).
//
// A file that was compacted in view 0 is in 3, or was replaced there by what compacted it. One that
// a workflow has in view 1 is in 3 if that workflow's outputs are. Any other was not compacted when
// 3 was read. What is listed is not deleted while a query runs: the grace is longer.
// Compacted bytes that are put again, under another ETag, are compacted in view 0 too: such twins
// are looked for here, as they may not have been announced yet.
// Plain compacted files have no snapshot: one is seen if no file that was still open in view 0 is
// its workflow's in view 1. Where a file was compacted in view 0 they are listed behind it, as what
// it became may not have been there before.
//
// A materialised view is a table `view.{name}` of one file: the generation that is its output now.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "catalog/tenant_tables.h"
#include "compact/source_twins.h"
#include "compact/window_tracker.h"
#include "query/snapshot.h"
#include "store/object_store.h"
#include "view/view_data.h"
#include "view/view_store.h"
#include "workflow/workflow_store.h"

namespace varve::app {

class LakeReader {
 public:
  // All are borrowed. data_prefix: of writers' files, with its final '/'.
  LakeReader(store::ObjectStore& store, catalog::TenantTables& tables,
             compact::WindowTracker& windows, workflow::WorkflowStore& workflows,
             view::ViewStore& views, std::string data_prefix)
      : store_(store),
        tables_(tables),
        windows_(windows),
        twins_(store, windows),
        workflows_(workflows),
        views_(views),
        data_prefix_(std::move(data_prefix)) {}

  // Nothing: there is neither such a table nor a file of a writer's.
  Result<std::optional<query::LakeTable>> Take(const NamespaceId& tenant,
                                               const query::TableRef& ref) {
    return Take(tenant, ref, nullptr);
  }
  // The same, and which files' rows it has; its basis is left empty.
  Result<std::optional<query::LakeTable>> Take(const NamespaceId& tenant,
                                               const query::TableRef& ref,
                                               view::Contents* contents);
  // The writers' files that have been compacted into the file, as far as the workflow that made it
  // is known.
  Result<std::optional<std::vector<view::FileId>>> MadeOf(const std::string& file);
  Result<query::FileRef> Find(const std::string& key);  // an object, whatever its rows are part of
  // Of tables, and of namespaces of data that have none yet; the first by name.
  Result<std::vector<std::string>> Names(const NamespaceId& tenant, size_t names_max);

 private:
  struct Written;  // the writers' files, and what was compacted into plain files
  Result<Written> ListWritten(const NamespaceId& tenant, const std::string& table);
  Status FindTwins(Written& written);
  Status TakeTable(const NamespaceId& tenant, const std::string& table, query::LakeTable& out,
                   std::set<std::string>& keys);
  Result<std::optional<query::LakeTable>> TakeView(const NamespaceId& tenant,
                                                   const query::TableRef& ref);
  Status AddSources(const Written& written, const std::set<std::string>& keys,
                    query::LakeTable& out, view::Contents* contents);
  Result<bool> NothingCameMeanwhile(const Written& written);
  Result<bool> IsCommitted(const std::string& workflow_id, const std::set<std::string>& keys);
  query::FileRef RefOf(const std::string& key, uint64_t size, int64_t modified_ms) const;

  store::ObjectStore& store_;
  catalog::TenantTables& tables_;
  compact::WindowTracker& windows_;
  compact::SourceTwins twins_;
  workflow::WorkflowStore& workflows_;
  view::ViewStore& views_;
  const std::string data_prefix_;
};

}  // namespace varve::app
