// The materialised views of a serving process: what joins them with the lake, the queue and the
// workflows that do the work.
#pragma once

#include <functional>
#include <vector>

#include "app/config.h"
#include "app/data_dir.h"
#include "app/lake.h"
#include "app/view_data.h"
#include "notify/rules.h"
#include "server/metrics.h"
#include "server/services.h"
#include "view/refresh_workflow.h"
#include "view/view_service.h"

namespace varve::app {

// Tells the views' queue of writers' files, in every tenant's part; unless a rule does already.
void AddViewRule(const Config& config, std::vector<notify::NotifyRule>& rules);

class ViewRole {
 public:
  // The queue is declared by the caller, as every rule's is. The lake outlives the role. started: a
  // workflow was made.
  ViewRole(const Config& config, const DataDirPaths& paths, Lake& lake,
           std::function<void()> started);

  Status SweepWork() { return refreshes_.SweepWork(); }
  workflow::Definition* refreshes() { return &refreshes_; }
  Status Start() { return service_.Start(); }
  void Stop() { service_.Stop(); }
  void Serve(server::Services& services) { services.views = &service_; }
  void WriteMetrics(server::MetricsWriter& out);

 private:
  LakeViewData data_;
  view::ViewService service_;
  view::RefreshWorkflow refreshes_;
};

}  // namespace varve::app
